"""The ground: set-up with the standard library alone, locks, make targets, and what CI turns into failures."""

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend import env_file
from backend.settings import ROOT, load_settings
from scripts import installation
from scripts.installation import Places, SetupError

SETUP = ROOT / "scripts" / "setup.py"
LOCKS = ("requirements.lock", "requirements-dev.lock")
PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)(?: ; (.+?))? \\$")


def pins(lock: str) -> set[tuple[str, str, str]]:
    """Name, version and condition of everything a lock installs."""
    lines = (ROOT / lock).read_text().splitlines()
    return {(match[1], match[2], match[3] or "") for line in lines if (match := PIN.match(line))}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A project folder with what an installation depends on, and a virtual environment that looks installed."""
    for name in (*LOCKS, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    places = Places(tmp_path)
    places.bin.mkdir(parents=True)
    places.python.symlink_to(sys.executable)
    return places


# --- The set-up script ---


@pytest.mark.parametrize("version", [(3, 4), (3, 7), (3, 10)])
def test_an_old_python_can_read_the_script_that_says_it_is_too_old(version: tuple[int, int]) -> None:
    tree = ast.parse(SETUP.read_text(), feature_version=version)

    modern = (ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.AsyncFunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, modern)]
    annotated = [node.returns for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert annotated == [None]


def test_an_old_python_is_told_in_one_sentence_what_to_do() -> None:
    program = (
        "import runpy, sys; sys.version_info = (3, 9, 2); sys.argv = ['setup.py']; "
        f"runpy.run_path({str(SETUP)!r}, run_name='__main__')"
    )

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.count("\n") == 1
    assert "3.11 or newer and this is 3.9" in answer.stderr
    assert "PYTHON=" in answer.stderr


def test_the_set_up_imports_the_standard_library_only() -> None:
    for name in ("setup.py", "installation.py"):
        tree = ast.parse((ROOT / "scripts" / name).read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        own = {"installation"}
        assert {name.partition(".")[0] for name in imported} - own <= set(sys.stdlib_module_names)


def test_a_missing_venv_module_is_one_sentence_with_the_package_to_install() -> None:
    with pytest.raises(SetupError, match=r"venv module; on Debian or Ubuntu: sudo apt install python3\.\d+-venv"):
        installation.check_venv_module(("venv", "no_such_module_of_python"))
    assert installation.check_venv_module(("json",)) is None


def stamp(places: Places, *kinds: bool) -> None:
    """Mark as installed: development for True, what runs for False."""
    places.stamp.write_text(json.dumps([installation.fingerprint(places, dev=dev) for dev in kinds]))


@pytest.mark.parametrize("dev", [True, False])
def test_nothing_is_done_where_everything_is_installed(places: Places, dev: bool) -> None:
    stamp(places, dev)
    before = sorted(places.root.rglob("*"))

    installation.install(places, dev=dev)

    assert sorted(places.root.rglob("*")) == before


@pytest.mark.parametrize("changed", [*LOCKS, "pyproject.toml"])
def test_a_changed_lock_or_description_is_another_installation(places: Places, changed: str) -> None:
    before = {dev: installation.fingerprint(places, dev=dev) for dev in (True, False)}

    with (places.root / changed).open("a") as file:
        file.write("\n")

    after = {dev: installation.fingerprint(places, dev=dev) for dev in (True, False)}
    same = {dev for dev in before if before[dev] == after[dev]}
    assert same == {"requirements.lock": {True}, "requirements-dev.lock": {False}, "pyproject.toml": set()}[changed]


def test_a_moved_folder_is_another_installation(places: Places, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(places.root, moved, symlinks=True, ignore=shutil.ignore_patterns("moved"))

    assert installation.fingerprint(Places(moved), dev=False) != installation.fingerprint(places, dev=False)


@pytest.mark.slow
def test_an_installation_that_fails_is_told_and_begun_again_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    (tmp_path / "requirements.lock").write_text(f"no-such-package==1.0 --hash=sha256:{'0' * 64}\n")
    (tmp_path / "requirements-dev.lock").write_text("")
    (tmp_path / "pyproject.toml").write_text("")

    first = installation.main(["--no-migrate"], tmp_path)
    Places(tmp_path).stamp.write_text('["an installation of before"]')
    second = installation.main(["--no-migrate"], tmp_path)

    said = capfd.readouterr()
    assert (first, second) == (1, 1)
    assert said.err.count("The packages could not be installed") == 2
    assert said.out.count("Making .venv") == 1
    assert not Places(tmp_path).stamp.exists()
    assert not (tmp_path / ".env").exists()


# --- .env ---


def test_env_is_written_once_with_a_random_token_that_only_its_owner_can_read(tmp_path: Path) -> None:
    file = tmp_path / ".env"

    first = installation.write_env(file)
    content = file.read_text()
    second = installation.write_env(file)

    assert (first, second) == (True, False)
    assert file.read_text() == content
    assert list(tmp_path.iterdir()) == [file]
    assert os.name == "nt" or stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (
        load_settings(environ={}, env_file=file).admin_token.get_secret_value() == env_file.read(file)["QT_ADMIN_TOKEN"]
    )


def test_each_env_has_a_token_of_its_own(tmp_path: Path) -> None:
    tokens = set()
    for number in range(20):
        file = tmp_path / f"{number}" / ".env"
        file.parent.mkdir()
        installation.write_env(file)
        tokens.add(env_file.read(file)["QT_ADMIN_TOKEN"])

    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 32


@given(content=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_an_env_that_exists_is_never_touched(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content)

    assert installation.write_env(file) is False
    assert file.read_bytes() == content


# --- Locks ---


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_or_its_hash(lock: str) -> None:
    lines = (ROOT / lock).read_text().splitlines()

    assert all(PIN.match(line) or re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines)
    assert len(pins(lock)) > 30
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        assert not PIN.match(line) or after.startswith("    --hash=")


def test_the_development_lock_holds_every_pin_of_the_other() -> None:
    assert pins(LOCKS[0]) <= pins(LOCKS[1])


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["build"]
    names = {re.split(r"[<>=;\[ ]", line)[0].lower() for line in wanted}
    developing = {line for line in project["dependency-groups"]["dev"] if isinstance(line, str)}

    assert names <= {name for name, _, _ in pins(LOCKS[0])}
    assert {re.split(r"[<>=;\[ ]", line)[0].lower() for line in developing} <= {name for name, _, _ in pins(LOCKS[1])}


def test_the_graphics_card_libraries_stay_away_on_linux() -> None:
    conditions = {(name, condition) for name, _, condition in pins(LOCKS[0]) if name.startswith("xgboost")}

    assert {"linux" in condition for _, condition in conditions} == {True}
    assert all(("!=" in condition.split("sys_platform")[1]) == (name == "xgboost") for name, condition in conditions)
    assert not [name for name, _, _ in pins(LOCKS[1]) if name.startswith("nvidia")]


def test_what_runs_here_is_what_the_lock_says() -> None:
    found = {one.name.lower().replace("_", "-"): one.version for one in metadata.distributions()}
    allowed: dict[str, set[str]] = {}
    for name, version, _ in pins(LOCKS[1]):
        allowed.setdefault(name, set()).add(version)

    assert {name: version for name, version in found.items() if version not in allowed.get(name, {version})} == {}


# --- make and CI ---


def recipe(target: str) -> str:
    """What make would run for a target."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    answer = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, env=outside, capture_output=True, text=True, check=True
    )
    return answer.stdout


def test_make_run_sets_up_and_serves() -> None:
    steps = recipe("run").splitlines()

    assert [step for step in steps if "setup.py" in step or "serve" in step] == steps
    assert "--dev" not in steps[0]
    assert steps[-1].endswith("qt serve")


def test_make_test_needs_the_development_lock_and_nothing_of_the_user() -> None:
    steps = recipe("test")

    assert "scripts/setup.py --dev" in steps
    assert "pytest" in steps.splitlines()[-1]


def test_make_check_lints_types_and_tests_everything() -> None:
    steps = recipe("check")

    for step in ("ruff check .", "ruff format --check .", "mypy", "pytest"):
        assert step in steps


def test_make_lock_writes_both_locks_with_hashes_for_every_python() -> None:
    steps = recipe("lock")

    assert all(f"-o {lock}" in steps for lock in LOCKS)
    assert steps.count("--universal --generate-hashes --python-version 3.11") == 2


def test_ci_runs_make_check_and_requires_what_it_provides() -> None:
    script = ROOT / ".ci" / "run"

    assert os.name == "nt" or script.stat().st_mode & stat.S_IXUSR
    assert script.read_text().rstrip().rpartition("\n")[2].startswith("exec make check CHECK_REQUIRES=postgres,")
    if shutil.which("bash"):
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


@pytest.fixture
def skipping(tmp_path: Path) -> Path:
    """A folder with a test that carries a marker and skips, and one that skips without."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = postgres: x\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef server():\n    pytest.skip('no server here')\n\n\n"
        "@pytest.mark.postgres\ndef test_marked(server):\n    assert True\n\n\n"
        "def test_plain(server):\n    assert True\n"
    )
    return tmp_path


@pytest.mark.parametrize(("required", "code", "told"), [("", 0, "2 skipped"), ("postgres", 1, "1 skipped, 1 error")])
def test_a_skip_of_what_is_required_is_a_failure(skipping: Path, required: str, code: int, told: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.check_requires", "-p", "no:cacheprovider", str(skipping)],
        cwd=skipping,
        env=os.environ | {"CHECK_REQUIRES": required, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == code, answer.stdout
    assert told in answer.stdout
    assert required == "" or "postgres is required here" in answer.stdout


@pytest.mark.parametrize(("script", "command"), [("start_live.ps1", "start"), ("stop_backend.ps1", "stop")])
def test_the_powershell_scripts_of_the_user_documents_call_qt(script: str, command: str) -> None:
    text = (ROOT / "backend" / script).read_text()

    assert f"& $qt {command} @args" in text
    assert r".venv\Scripts\qt.exe" in text
    assert text.rstrip().endswith("exit $LASTEXITCODE")
