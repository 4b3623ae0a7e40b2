"""The terminal as a person has it: commands in this process on a database of their own, or in a copy of the project."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backend.cli.main import main
from backend.settings import ROOT, Settings
from tests.postgres import free_port

TOKEN = "a-token-for-the-terminal-tests"


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON, which it must be in whole."""
        return json.loads(self.out)


Run = Callable[..., Answer]


def default_environment(folder: Path) -> dict[str, str]:
    """Every setting as it is by default, whatever this machine says, with all that is written below ``folder``.

    But for the port: a service of the developer's own may well run on the usual one.
    """
    fields = [field for field in dataclasses.fields(Settings) if field.metadata]
    environ = {f"QT_{field.name.upper()}": field.metadata["default"] or "" for field in fields}
    return environ | {
        "QT_ADMIN_TOKEN": TOKEN,
        "QT_MARKET": "off",
        "QT_PORT": str(free_port()),
        "QT_DATABASE_URL": f"sqlite:///{folder / 'quantum_trader.db'}",
        "QT_MODEL_DIR": str(folder / "models"),
    }


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings in force during the test."""
    for name, value in (environ := default_environment(tmp_path)).items():
        monkeypatch.setenv(name, value)
    return environ


@pytest.fixture
def qt(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def migrated(qt: Run) -> Run:
    """Run a command on a migrated database."""
    assert qt("migrate").code == 0
    return qt


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project without what a run leaves behind, so that its ``.env`` and ``var`` are the test's own."""
    copy = tmp_path / "project"
    left_behind = shutil.ignore_patterns("__pycache__", "*.db*", "data", "*.pkl")
    for folder in ("backend", "ai_engine", "alembic"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=left_behind)
    shutil.copy(ROOT / "alembic.ini", copy)
    return copy


@pytest.fixture
def qt_there(project: Path) -> Run:
    """Run a command of the copy as a process of its own."""

    def run(*arguments: object, **settings: str) -> Answer:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
        answer = subprocess.run(
            [sys.executable, "-m", "backend.cli.main", *map(str, arguments)],
            cwd=project,
            env=environ | settings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Answer(answer.returncode, answer.stdout, answer.stderr)

    return run
