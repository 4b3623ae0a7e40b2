"""Draw the manuals' pictures: .venv/bin/python scripts/pictures.py (Linux, macOS; takes about four minutes).

``docs/images/loop.svg`` is drawn from the table below. The other two are what a terminal really shows: a service on the
simulated market, with a folder of its own, is started, used and stopped, and what its commands print is written down.
Every run is another evening: README.md and docs/traders.md tell of these figures, and tests say which must follow.
"""

import fcntl
import io
import os
import pty
import re
import secrets
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
COLUMNS = 112
SECONDS_BEFORE_THE_FIRST, SECONDS_BEFORE_THE_SECOND = 30, 150
THEME = TerminalTheme(
    (16, 20, 28),
    (214, 222, 235),
    [
        *((16, 20, 28), (239, 83, 80), (34, 218, 110), (255, 203, 107)),
        *((130, 170, 255), (199, 146, 234), (33, 199, 168), (214, 222, 235)),
    ],
)
SVG_FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="A terminal">
<style>text {{ font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: {char_height}px; }}
{styles}</style>
<rect fill="#10141c" width="{width}" height="{height}" rx="8"/>
<g transform="translate(14, 14)"><defs>{lines}</defs>{backgrounds}{matrix}</g>
</svg>
"""

STEPS = (
    ("Decision", ("BUY, SELL or HOLD,", "with every feature", "it saw: stored")),
    ("Outcome", ("what the market did", "until the horizon,", "traded or not")),
    ("Training", ("each night at 03:00,", "oldest rows fit,", "newest rows judge")),
    ("Report", ("interval, baseline,", "costs, verdict,", "one sentence")),
    ("You", ("activate, or leave", "it; roll back in", "one call")),
)
BOX, HEIGHT, GAP, TOP = 168, 116, 34, 58
INK, PAPER, DIM, YOURS = "#1f2937", "#ffffff", "#6b7280", "#2563eb"


def main() -> int:
    """Draw all of them."""
    first_minutes, report = an_evening()
    drawn = {"loop": loop(), "first-minutes": terminal(first_minutes), "report": terminal(report)}
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, picture in drawn.items():
        (IMAGES / f"{name}.svg").write_text(picture, encoding="utf-8")
    print(f"Drew {', '.join(drawn)} in docs/images. Now: make test PYTEST_ARGS=tests/test_manuals.py")
    return 0


def loop() -> str:
    """The way of a decision, as boxes with arrows; the last one is a person."""
    width = 2 * GAP + len(STEPS) * BOX + (len(STEPS) - 1) * GAP
    height = TOP + HEIGHT + 96
    parts = [box(index, *step) for index, step in enumerate(STEPS)]
    parts += [arrow(GAP + (index + 1) * (BOX + GAP) - GAP) for index in range(len(STEPS) - 1)]
    parts.append(way_back(width))
    parts.append(label(GAP, 32, "One decision, and the way it comes back", 18, INK, "600"))
    body = "\n".join(parts)
    title = "Decision, outcome, training, report, you, and back to the next decision"
    return (
        f'<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#f8fafc"/>\n{body}\n</svg>\n'
    )


def box(index: int, name: str, lines: tuple[str, ...]) -> str:
    """One step; the person's is drawn in another colour, because nothing goes live without it."""
    left, person = GAP + index * (BOX + GAP), name == "You"
    edge = YOURS if person else INK
    frame = (
        f'<rect x="{left}" y="{TOP}" width="{BOX}" height="{HEIGHT}" rx="10" fill="{PAPER}" stroke="{edge}" '
        f'stroke-width="{2.5 if person else 1.5}"/>'
    )
    texts = [label(left + 14, TOP + 30, name, 17, edge, "600")]
    texts += [label(left + 14, TOP + 56 + 20 * row, line, 14, DIM) for row, line in enumerate(lines)]
    return "\n".join([frame, *texts])


def arrow(x: int) -> str:
    """From one box to the next."""
    y = TOP + HEIGHT // 2
    return (
        f'<path d="M{x + 5} {y} H{x + GAP - 8} m-7 -6 l8 6 l-8 6" fill="none" stroke="{INK}" stroke-width="2" '
        'stroke-linecap="round" stroke-linejoin="round"/>'
    )


def way_back(width: int) -> str:
    """From the person below all boxes to the next decision."""
    right, left = width - GAP - BOX // 2, GAP + BOX // 2
    bottom = TOP + HEIGHT + 44
    path = (
        f'<path d="M{right} {TOP + HEIGHT + 8} V{bottom - 10} Q{right} {bottom} {right - 10} {bottom} H{left + 10} '
        f'Q{left} {bottom} {left} {bottom - 10} V{TOP + HEIGHT + 10} m-6 8 l6 -8 l6 8" fill="none" stroke="{YOURS}" '
        'stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/>'
    )
    said = "the next decision is made by the version you activated; nothing is restarted, nothing goes live by itself"
    return path + "\n" + label(left + 24, bottom + 26, said, 14, DIM)


def label(x: float, y: float, text: str, size: int, fill: str, weight: str = "400") -> str:
    """A line of text."""
    font = "ui-sans-serif, system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif"
    style = f'font-family="{font}" font-size="{size}" font-weight="{weight}" fill="{fill}"'
    return f'<text x="{x}" y="{y}" {style}>{text}</text>'


def an_evening() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What a newcomer types in the first minutes, and the report of a second version; each with what it printed."""
    with tempfile.TemporaryDirectory(prefix="qt-pictures-") as name, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = environment_of(Path(name), port)
        log = Path(name) / "service.log"
        with log.open("wb") as output:
            service = subprocess.Popen(
                [sys.executable, "-m", "backend.cli.main", "serve"],
                cwd=ROOT, env=environment, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            await_ready(port, service)
            time.sleep(SECONDS_BEFORE_THE_FIRST)
            first = transcript(environment)
            time.sleep(SECONDS_BEFORE_THE_SECOND)
            asked = f"model {version_in(in_terminal(['retrain'], environment))}"
            return first, [(asked, in_terminal(asked.split(), environment))]
        finally:
            service.terminate()
            service.wait(timeout=60)


def environment_of(folder: Path, port: int) -> dict[str, str]:
    """Settings of its own: neither the developer's database nor the developer's token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
    return kept | {
        "QT_ADMIN_TOKEN": secrets.token_urlsafe(32),
        "QT_DATABASE_URL": f"sqlite:///{folder / 'pictures.db'}",
        "QT_MODEL_DIR": str(folder / "models"),
        "QT_PORT": str(port),
        "TERM": "xterm-256color",
    }


def await_ready(port: int, service: subprocess.Popen[bytes]) -> None:
    """Wait until the service answers."""
    for _ in range(600):
        if service.poll() is not None:
            raise SystemExit("The service ended instead of starting; run `make run` to see why.")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("The service did not become ready within a minute.")


def transcript(environment: dict[str, str]) -> list[tuple[str, str]]:
    """Status, a retraining, and the activation of what came of it."""
    told = [("status", in_terminal(["status"], environment)), ("retrain", in_terminal(["retrain"], environment))]
    activation = f"activate {version_in(told[-1][1])}"
    return [*told, (activation, in_terminal(activation.split(), environment))]


def version_in(said: str) -> str:
    """The version that a retraining made."""
    found = re.search(r"v\d{8}_\d{6}", said)
    if found is None:
        raise SystemExit(f"The retraining made no version: {said}")
    return found[0]


def in_terminal(arguments: list[str], environment: dict[str, str]) -> str:
    """What the command prints on a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli.main", *arguments],
        cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # Linux ends a terminal that nobody holds with an error, others with nothing
        pass
    os.close(ours)
    if process.wait():
        raise SystemExit(f"qt {' '.join(arguments)} failed.")
    return said.decode().replace("\r\n", "\n").rstrip()


def terminal(told: list[tuple[str, str]]) -> str:
    """A terminal's screen with these commands and answers."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, highlight=False)
    for number, (command, said) in enumerate(told):
        if number:
            console.print()
        console.print(Text.assemble(("$ ", "green"), (f".venv/bin/qt {command}", "bold")))
        console.print(Text.from_ansi(said))
    return console.export_svg(theme=THEME, code_format=SVG_FORMAT, unique_id="qt")


if __name__ == "__main__":
    sys.exit(main())
