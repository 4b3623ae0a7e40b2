"""The lists of CONTRIBUTING.md, walked in a copy of the project: done they pass their check, half done they fail it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend.settings import ROOT
from tests.manuals import page

GUIDE = page("CONTRIBUTING.md")
IGNORED = shutil.ignore_patterns("__pycache__", ".hypothesis", "*.db*", "*.pkl")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own sources, manuals and tests, elsewhere."""
    target = tmp_path_factory.mktemp("contributing") / "project"
    for name in ("backend", "ai_engine", "alembic", "tests", "docs", "scripts", "deploy", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, target / name, ignore=IGNORED)
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("*.toml"),
        *ROOT.glob("*.lock"),
        ROOT / "alembic.ini",
        ROOT / "Makefile",
    ]:
        shutil.copy(path, target)
    shutil.copy(ROOT / ".env.example", target)
    return target


def check(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest on the copy, as the guide's command runs it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QT_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments],
        cwd=project, env=kept | {"PYTHONPATH": str(project)}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def insert(file: Path, before: str, text: str) -> None:
    """Put text before the last place where ``before`` stands."""
    head, found, tail = file.read_text(encoding="utf-8").rpartition(before)
    assert found, f"{file.name} has no {before!r}"
    file.write_text(f"{head}{text}{found}{tail}", encoding="utf-8")


@pytest.mark.slow
def test_a_feature_added_as_the_list_says_passes_its_check(project: Path) -> None:
    (code,) = GUIDE.marked("a feature")
    (oracle,) = GUIDE.marked("an oracle")
    family = project / "ai_engine" / "features" / "calendar.py"
    tests = project / "tests" / "ai_engine" / "features"
    command = ["tests/ai_engine/features", "-k", "funding_share or test_catalogue and not funding"]

    insert(family, "FEATURES: tuple[Feature, ...] = (\n", f"{code}\n\n")
    insert(family, ")\n", "    FUNDING_SHARE,\n")
    half_done = check(project, *command, "-x")
    insert(tests / "test_calendar.py", '    "last_gap": last_gap,\n', f"    {oracle}")
    done = check(project, *command)

    assert half_done.returncode == 1, half_done.stdout[-2000:]
    assert "KeyError: 'funding_share'" in half_done.stdout
    assert done.returncode == 0, done.stdout[-3000:]
    told = re.search(r"(\d+) passed", done.stdout)
    assert told is not None
    assert int(told[1]) > 100


STEPS_OF_AN_ALARM = (
    "tests/operations/test_codes.py",
    "tests/learning/evidence/doctor/test_findings.py::test_every_code_of_the_catalogue_is_provoked_and_explained",
    "tests/test_manuals.py::test_every_code_has_its_paragraph",
)


@pytest.mark.slow
def test_a_code_without_meaning_finding_and_paragraph_fails_each_of_its_checks(project: Path) -> None:
    codes = project / "backend" / "operations" / "codes.py"
    untouched = codes.read_text(encoding="utf-8")

    insert(codes, '    DELIVERY_FAILING = "delivery_failing"\n', '    MOON_FULL = "moon_full"\n')
    broken = check(project, *STEPS_OF_AN_ALARM)
    codes.write_text(untouched, encoding="utf-8")
    whole = check(project, *STEPS_OF_AN_ALARM)

    for step in STEPS_OF_AN_ALARM:
        assert f"FAILED {step}" in broken.stdout, broken.stdout[-2000:]
    assert whole.returncode == 0, whole.stdout[-3000:]


def test_each_list_ends_in_a_check_of_files_that_exist() -> None:
    lists = GUIDE.text.partition("## How to add …")[2].split("\n### ")[1:]
    titles = [one.partition("\n")[0] for one in lists]
    checked = {
        title: re.findall(r"-m pytest ((?:tests/?\S* ?)+)", one) for title, one in zip(titles, lists, strict=True)
    }

    assert {"A feature", "A market", "A recipe", "An alarm or a finding of the doctor", "A setting"} <= set(titles)
    for title, commands in checked.items():
        if title != "A dependency":
            assert commands, f"{title} ends in no check"
            assert all((ROOT / path).exists() for command in commands for path in command.split())


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {target for name in ("CONTRIBUTING.md", "README.md", "docs/operators.md") for target in make_targets(name)}

    assert {"dev", "test", "check", "format", "bench", "run"} <= named
    assert named - targets == set()


def make_targets(name: str) -> list[str]:
    return [target for line in page(name).code for target in re.findall(r"\bmake ([a-z]+)(?!\S*=)", line)]
