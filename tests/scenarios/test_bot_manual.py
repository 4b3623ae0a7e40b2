"""docs/bots.md, run from top to bottom against a real service; what it says it prints is what is printed."""

import contextlib
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backend.api.schemas.reasons import REASONS
from tests.manuals import page
from tests.postgres import free_port
from tests.service import Service, running_service

MANUAL = page("docs/bots.md")
PROGRAMS = Path(sys.executable).parent
SHOWN = {"text", "json"}
EXPORT = re.compile(r"^export (\w+)=(.*)$", re.MULTILINE)
SETTING = re.compile(r"\b(QT_\w+)=(\S+)")
WEBHOOK_PORT = "9009"
ADMINS_ONLY = {
    "schema_mismatch", "not_recommended", "activation_changed", "nothing_to_roll_back", "retraining_in_progress",
    "unknown_run", "different_strategies", "same_version", "already_active", "too_many_shadows",
    "self_audit_in_progress", "unknown_sample", "not_quarantined",
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """Code to run, and what the manual says it prints: None where it says nothing."""

    language: str
    code: str
    printed: str | None
    printed_as: str = ""


def blocks() -> list[Block]:
    """The manual's code in order, each with the output shown right below it."""
    fences = [*MANUAL.fences, ("", "")]
    return [
        Block(language, code, below if kind in SHOWN else None, kind)
        for (language, code), (kind, below) in itertools.pairwise(fences)
        if language not in SHOWN
    ]


@pytest.fixture(scope="module")
def webhook_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, webhook_port: int) -> Iterator[Service]:
    """A service with the settings that the manual starts it with."""
    lines = [block.code for block in blocks() if block.language == "sh" and "qt serve" in block.code]
    settings = dict(SETTING.findall("\n".join(lines).replace(WEBHOOK_PORT, str(webhook_port))))
    assert {"QT_MARKET", "QT_TRADER_TOKEN", "QT_WEBHOOK_URL", "QT_WEBHOOK_SECRET"} == set(settings)
    with running_service(tmp_path_factory.mktemp("bots"), **settings) as running:
        yield running


@dataclass
class Terminal:
    """One bash and one Python session of a reader, which share their environment and folder."""

    folder: Path
    environment: dict[str, str]
    namespace: dict[str, Any]

    def run(self, block: Block) -> str:
        return self._python(block.code) if block.language == "python" else self._bash(block.code)

    def _bash(self, code: str) -> str:
        keep = "".join(f'\nprintf "%s" "${name}" > .kept-{name}' for name, _ in EXPORT.findall(code))
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code.replace(".venv/bin/", f"{PROGRAMS}/") + keep],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, (code, ended.stdout, ended.stderr)
        for name, _ in EXPORT.findall(code):
            self.environment[name] = (self.folder / f".kept-{name}").read_text()
        return ended.stdout

    def _python(self, code: str) -> str:
        said = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(said), _environ(self.environment):
            exec(compile(code, "docs/bots.md", "exec"), self.namespace)
        return said.getvalue()


@contextlib.contextmanager
def _environ(environment: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="the manual speaks bash and curl")
def test_every_block_runs_and_prints_what_the_manual_shows(service: Service, webhook_port: int, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, dict(service.environment), {"__name__": "manual"})
    for block in blocks():
        if block.language == "sh":
            continue
        code = block.code.replace("http://localhost:8000", service.url).replace(WEBHOOK_PORT, str(webhook_port))
        said = terminal.run(Block(block.language, code, None))
        if block.printed is None:
            assert said == "", (block.code, said)
        elif block.printed_as == "json":
            assert list(missing_in(json.loads(block.printed), json.loads(said))) == [], (block.code, said)
        else:
            assert re.fullmatch(pattern_of(block.printed), said), (block.code, block.printed, said)


def pattern_of(shown: str) -> str:
    """What may be printed: the text itself, and anything where it has an ellipsis."""
    return "[^\n]*".join(re.escape(part) for part in shown.split("…"))


def missing_in(shown: Any, said: Any, where: str = "$") -> Iterator[str]:
    """What the manual shows and the service does not say; more keys may stand in the answer."""
    if shown == "…":
        return
    if isinstance(shown, dict) and isinstance(said, dict):
        for key, value in shown.items():
            if key in said:
                yield from missing_in(value, said[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} is not there"
    elif isinstance(shown, list) and isinstance(said, list) and len(shown) == len(said):
        for index, (one, other) in enumerate(zip(shown, said, strict=True)):
            yield from missing_in(one, other, f"{where}[{index}]")
    elif shown != said:
        yield f"{where} is {said!r}, not {shown!r}"


def test_every_call_of_a_bot_is_shown_in_python_and_in_curl() -> None:
    python = "\n".join(block.code for block in blocks() if block.language == "python")
    curl = "\n".join(block.code for block in blocks() if block.language == "bash")
    places = ("/ai/decisions", "/execution", "/outcome", "/ai/decisions?state=", "/ai/predict", "/ai/training-samples")
    for place in (*places, "/ai/decisions/mybot-"):
        assert place in curl, place
        assert place in python, place
    assert '"decisions": ' in python
    assert '"decisions": ' in curl


def test_every_reason_that_a_bot_may_meet_has_its_remedy_in_the_table() -> None:
    told = {
        name for row in MANUAL.text.splitlines() if re.match(r"\| \d{3}\b", row) for name in re.findall(r"`(\w+)`", row)
    }

    assert set(REASONS) - ADMINS_ONLY - told == set()


def test_a_status_in_the_table_is_the_reasons_own() -> None:
    for row in MANUAL.text.splitlines():
        found = re.match(r"\| (\d{3}[\d, ]*) \| ([^|]+) \|", row)
        for name in re.findall(r"`(\w+)`", found[2]) if found else ():
            assert found is not None
            assert str(REASONS[name].status) in found[1], name


def test_what_is_not_printed_as_shown_is_seen() -> None:
    assert re.fullmatch(pattern_of("a … c\n"), "a b c\n")
    assert not re.fullmatch(pattern_of("a … c\n"), "a b d\n")
    assert list(missing_in({"a": 1, "b": ["…"]}, {"a": 1, "b": [2], "c": 3})) == []
    assert list(missing_in({"a": 1}, {"a": 2})) == ["$.a is 2, not 1"]
    assert list(missing_in({"a": 1}, {})) == ["$.a is not there"]
    assert list(missing_in([1], [1, 2])) != []
