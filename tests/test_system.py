"""What only some systems can do, tried on this one with real processes and files."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend import system

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_this_process_is_alive_and_not_gone() -> None:
    assert system.pid_alive(os.getpid())
    assert system.is_gone(system.process_identity()) is False
    assert len(system.process_identity()) <= 128


def test_a_process_is_alive_until_it_ends_even_before_anyone_waited_for_it() -> None:
    child = subprocess.Popen(SLEEPER)
    alive = system.pid_alive(child.pid)
    child.kill()
    deadline = time.monotonic() + 10
    while system.pid_alive(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    after_kill = system.pid_alive(child.pid)
    child.wait()

    assert (alive, after_kill, system.pid_alive(child.pid)) == (True, False, False)


def test_a_process_id_that_was_given_away_again_is_not_the_old_process() -> None:
    host, pid, start = system.process_identity().rsplit(":", 2)
    another = f"{host}:{pid}:{start[:-1]}{(int(start[-1]) + 1) % 10}"

    assert system.is_gone(another) is True


def test_a_process_of_another_machine_is_unknown() -> None:
    assert system.is_gone("elsewhere:1:boot-1-1") is None
    assert not system.same_host("elsewhere:1:boot-1-1")
    assert system.same_host(system.process_identity())


@pytest.mark.parametrize("identity", ["", "a", "a:b", "a:b:c", ":1:2", "host:99999999999999:1"])
def test_text_that_is_no_identity_is_unknown(identity: str) -> None:
    assert system.is_gone(identity) is None
    assert not system.same_host(identity)


def test_a_part_of_a_process_lives_as_long_as_the_process() -> None:
    assert system.is_gone(f"{system.process_identity()}#trader") is False


def test_a_process_of_an_earlier_boot_is_unknown_by_itself() -> None:
    host, pid, _ = system.process_identity().rsplit(":", 2)

    assert system.is_gone(f"{host}:{pid}:otherboot-1-77") is None


@POSIX
def test_the_priority_is_lowered_for_the_process_that_asks() -> None:
    program = "import os; from backend import system; system.lower_priority(); print(os.nice(0))"

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert int(answer.stdout) == 19


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_a_process_whose_parent_is_another_than_it_thinks_ends() -> None:
    program = "from backend import system; system.die_with_parent(1); print('still here')"

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (answer.returncode, answer.stdout) == (1, "")


def test_a_new_name_is_whole_and_never_replaces_another(tmp_path: Path) -> None:
    first, second, target = tmp_path / "first", tmp_path / "second", tmp_path / "target"
    first.write_text("first")
    second.write_text("second")
    system.link_new(first, target)

    with pytest.raises(FileExistsError):
        system.link_new(second, target)

    assert target.read_text() == "first"
    assert second.exists()
    system.sync_folder(tmp_path)


def test_a_lock_is_held_by_one_and_free_after_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import sys, pathlib; from backend import system\n"
        "with system.file_lock(pathlib.Path(sys.argv[1])) as mine: print(mine)"
    )

    def another() -> str:
        asked = [sys.executable, "-c", program, str(path)]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    with system.file_lock(path) as mine:
        while_held = another()

    assert mine is True
    assert while_held == "False"
    assert another() == "True"
