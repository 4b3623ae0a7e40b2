"""Whatever a manual names is there: links, commands and options, settings, calls, files, codes."""

import re
import shlex
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ai_engine.types import Verdict
from backend.api.openapi import describe
from backend.cli.main import COMMANDS, load
from backend.main import create_app
from backend.operations.codes import Code
from backend.operations.delivery_webhook import signature
from backend.settings import ROOT, Settings, load_settings
from tests import manuals
from tests.manuals import page

each_manual = pytest.mark.parametrize("name", manuals.names())

QT = re.compile(r"(?:^|[\s(;&\"'/\\])qt (.*)")
SETTING = re.compile(r"(?<![A-Z_])QT_[A-Z][A-Z_]*(?![A-Z_*])")
CALL = re.compile(r"\b(GET|POST|DELETE|PUT|PATCH) (/[\w/{}.\-?&=…$:]*)")
ADDRESS = re.compile(r"http://(?:localhost|127\.0\.0\.1):8000(/[\w/{}.\-?&=$]*)")
METHOD = re.compile(r"-X (POST|DELETE|PUT)\b")
PATHLIKE = re.compile(r"[\w.\-]+(?:/[\w.\-{}]+)+/?")
SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
OPEN_PAGES = {"/", "/docs", "/openapi.json", "/metrics"}
MADE_LATER = {".venv", "var", "ai_engine/models", "backend/quantum_trader.db", "deploy/.env", "deploy/secrets"}
OTHERS_SETTINGS = {"QT_ACCESSIBILITY", "QT_IM_MODULE"}
# What the user documents call by names that this project answers in another way; the README's table says how.
OF_THE_DOCUMENTS = {"bootstrap_training_data", "backend/utils/scheduler.py", "day_of_week", "live-admin-token"}
HALF_OF_A_QUESTION = "Had it been 62.5 %, would it be good?"
OF_OTHER_PROGRAMS = {
    "actual_instance",
    *("proxy_pass", "proxy_set_header", "proxy_read_timeout", "client_max_body_size", "ssl_certificate"),
    *("ssl_certificate_key", "server_name", "remote_addr", "max_size", "request_body", "reverse_proxy"),
}


@cache
def settings_names() -> frozenset[str]:
    return frozenset(f"QT_{name.upper()}" for name in Settings.__dataclass_fields__ if name != "root")


@cache
def description() -> dict[str, Any]:
    app = create_app(load_settings(environ={"QT_ADMIN_TOKEN": "a-token-of-enough-letters"}, env_file=None))
    return describe(app)


@cache
def source_words() -> frozenset[str]:
    places = ("backend/**/*.py", "ai_engine/**/*.py", "tests/*.py", "deploy/*.*")
    files = [file for place in places for file in ROOT.glob(place) if file.is_file()]
    return frozenset(word for file in files for word in SNAKE.findall(file.read_text(encoding="utf-8")))


@each_manual
def test_every_link_leads_somewhere(name: str) -> None:
    wrong = []
    for link in page(name).links:
        if re.match(r"[a-z]+:", link):
            continue
        file, anchor = manuals.target_of(name, link)
        if not file.exists() or (anchor and anchor not in page(str(file.relative_to(ROOT))).anchors):
            wrong.append(link)
    assert wrong == []


def test_every_page_of_the_manuals_stands_in_the_index() -> None:
    linked = {manuals.target_of("docs/README.md", link)[0] for link in page("docs/README.md").links}

    pages = {ROOT / name for name in manuals.names() if name not in ("README.md", "docs/README.md")}
    assert pages - linked == set()


def commands_in(line: str) -> list[list[str]]:
    """The ``qt`` command lines within a line of code, each as words up to what ends it in a shell."""
    found = []
    for match in QT.finditer(line.replace("\\qt ", "/qt ")):
        text = re.split(r"\s*(?:\||;|&&|\)|#|\s>|$)", match[1])[0].replace("…", "X")
        words = shlex.split(text.replace("'", '"')) if text.count('"') % 2 == 0 else text.replace('"', "").split()
        if words:
            found.append(words)
    return found


@each_manual
def test_every_command_and_option_of_qt_exists(name: str) -> None:
    wrong = []
    for line in page(name).code:
        for command, *arguments in commands_in(line):
            if command.startswith(("--", "…")) or command == "X":
                continue
            if command not in COMMANDS:
                wrong.append(f"qt {command}")
                continue
            wrong += [f"qt {command} {option}" for option in unknown_options(command, arguments)]
    assert wrong == []


def unknown_options(command: str, arguments: list[str]) -> list[str]:
    known = {"--help", *(option for each in load(command).params for option in (*each.opts, *each.secondary_opts))}
    return [word for word in arguments if word.startswith("-") and word.partition("=")[0] not in known]


def test_what_does_not_exist_would_be_seen() -> None:
    assert commands_in('curl -H "X-Admin-Token: $(.venv/bin/qt token)" http://x') == [["token"]]
    assert commands_in('.venv/bin/qt activate v1 --reason "a b" && ls') == [["activate", "v1", "--reason", "a b"]]
    assert unknown_options("retrain", ["--min-samples", "10", "--fast"]) == ["--fast"]


def test_every_command_is_told_of_in_a_manual() -> None:
    told = {words[0] for name in manuals.names() for line in page(name).code for words in commands_in(line)}

    assert set(COMMANDS) - told == set()


@each_manual
def test_every_setting_exists(name: str) -> None:
    named = set(SETTING.findall(page(name).text)) - OTHERS_SETTINGS

    assert named - settings_names() == set()


@each_manual
def test_every_call_exists_with_its_query(name: str) -> None:
    calls = CALL.findall(page(name).text)
    for line in page(name).code:
        method = METHOD.search(line)
        calls += [(method[1] if method else "GET", path) for path in ADDRESS.findall(line)]

    assert [f"{method} {path}" for method, path in calls if not known_call(method, path)] == []


def known_call(method: str, path: str) -> bool:
    place, _, query = path.rstrip(".").partition("?")
    if place.rstrip("/") in {page.rstrip("/") for page in OPEN_PAGES}:
        return True
    for template, operations in description()["paths"].items():
        form = re.sub(r"\{[^}]*\}", r"[^/]+", re.escape(template).replace(r"\{", "{").replace(r"\}", "}"))
        if re.fullmatch(form, place) and method.lower() in operations:
            parameters = [each["name"] for each in operations[method.lower()].get("parameters", [])]
            return all(part.partition("=")[0] in parameters for part in query.split("&") if part.strip("…"))
    return False


@each_manual
def test_every_file_exists(name: str) -> None:
    top = {path.name for path in ROOT.iterdir()} | {".venv", "var"}
    wrong = []
    for line in page(name).code:
        for path in PATHLIKE.findall(line):
            first = path.partition("/")[0]
            made = any(path == later or path.startswith(f"{later}/") for later in MADE_LATER)
            if first in top and not made and "{" not in path and path not in OF_THE_DOCUMENTS:
                wrong += [] if (ROOT / path).exists() else [path]
    assert wrong == []


@each_manual
def test_every_name_written_as_code_stands_in_the_source(name: str) -> None:
    spans = [span for span in manuals.SPAN.findall(page(name).prose) if SNAKE.fullmatch(span)]

    assert {span for span in spans if span not in source_words() | OF_THE_DOCUMENTS | OF_OTHER_PROGRAMS} == set()


@each_manual
def test_nothing_is_left_to_be_written(name: str) -> None:
    assert re.findall(r"TO" + r"DO|FIX" + r"ME|XXX|TBD|\bto be written\b", page(name).text) == []


def test_a_webhook_checked_as_the_manual_says_is_genuine_and_a_forged_one_is_not() -> None:
    (code,) = page("docs/operators.md").marked("webhook")
    scope: dict[str, Any] = {}
    exec(code, scope)
    body, timestamp = b'{"code":"training_finished"}', str(int(time.time()))
    headers = {"X-QT-Timestamp": timestamp, "X-QT-Signature": signature("a-shared-secret", timestamp, body)}
    old = str(int(timestamp) - 3_600)
    replayed = {"X-QT-Timestamp": old, "X-QT-Signature": signature("a-shared-secret", old, body)}

    assert scope["genuine"]("a-shared-secret", headers, body)
    assert not scope["genuine"]("another-secret", headers, body)
    assert not scope["genuine"]("a-shared-secret", headers, body + b" ")
    assert not scope["genuine"]("a-shared-secret", replayed, body)


def test_every_verdict_is_explained_to_traders() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", page("docs/traders.md").text, flags=re.MULTILINE)

    assert {verdict.value for verdict in Verdict} - set(explained) == set()


def test_every_code_has_its_paragraph() -> None:
    assert {str(code) for code in Code} - page("docs/troubleshooting.md").anchors == set()


def test_pictures_are_there_and_load_nothing_from_elsewhere() -> None:
    pictures = list((ROOT / "docs" / "images").glob("*.svg"))

    assert {picture.name for picture in pictures} == {"findings.svg", "loop.svg", "first-minutes.svg", "report.svg"}
    for picture in pictures:
        text = picture.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert re.findall(r"https?:|@import|<script|url\(", text.replace("url(#", "")) == []


@pytest.mark.parametrize(
    ("name", "picture"),
    [("README.md", "first-minutes"), ("README.md", "report"), ("docs/traders.md", "report")],
)
def test_what_a_page_tells_of_a_picture_stands_in_the_picture(name: str, picture: str) -> None:
    drawn = (ROOT / "docs" / "images" / f"{picture}.svg").read_text(encoding="utf-8")
    seen = re.sub(r"<[^>]+>", " ", drawn).replace("&#160;", " ").replace(" %", "%")
    told = page(name).text.partition(f"<!-- told of: {picture} -->\n")[2].partition("\n\n")[0]

    figures = re.findall(r"(?<![\w.])-?\d[\d,]*\.?\d*(?: %)?(?!\w)", told.replace(HALF_OF_A_QUESTION, ""))
    figures = [
        figure.replace(" %", "%").rstrip(",")
        for figure in figures
        if not figure.startswith(("95", "20 %", "42", "62 %"))
    ]

    assert len(figures) >= 3
    assert [figure for figure in figures if figure not in seen] == []


def test_the_drawn_picture_is_what_its_script_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    pictures = pytest.importorskip("pictures", reason="the pictures' script needs a Unix terminal")

    assert Path(ROOT / "docs" / "images" / "loop.svg").read_text(encoding="utf-8") == pictures.loop()
