"""Do what deploy/Dockerfile does, in a folder instead of an image, then start what it starts and ask it for its health.

Needs no Docker engine. What only an image has (the base, the account, the volume) is left to the tests over its text.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from image import DOCKERFILE, IGNORE, ROOT, Step, environment, sent, stages

PLACES = ("/opt/venv", "/app", "/data")
# What pip fetched for the project's own environment need not be fetched again.
HERE_OTHERWISE = ("PATH", "PIP_NO_CACHE_DIR")
READY_SECONDS = 120.0
STOP_SECONDS = 30.0
COUNT = """
from backend.database import SessionLocal
from backend.models.ai_training import AITrainingSample
db = SessionLocal()
print(f'Total samples: {db.query(AITrainingSample).count()}')
db.close()
"""


class Folder:
    """A folder that stands for the image's root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        text = DOCKERFILE.read_text(encoding="utf-8")
        self.build, self.final = stages(text)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
        told = {name: value for name, value in environment(self.build, "").items() if name not in HERE_OTHERWISE}
        self.environment = {**kept, **told, "PATH": f"{root}/opt/venv/bin:{kept['PATH']}", "PIP_QUIET": "2"}

    def here(self, text: str) -> str:
        """The image's places as places in this folder."""
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        return text

    def make(self) -> None:
        """Take the steps of the building stage."""
        for place in PLACES:
            (self.root / place.lstrip("/")).mkdir(parents=True)
        for step in self.build:
            if step.instruction == "COPY":
                self._copy(step)
            elif step.instruction == "RUN":
                self._run(step.rest)

    def _copy(self, step: Step) -> None:
        *sources, target = step.words
        files = [path.relative_to(ROOT).as_posix() for one in sources for path in _files(ROOT / one)]
        goal = self.root / "app"
        for name in sent(files, IGNORE.read_text(encoding="utf-8")):
            inside = name if target == "./" else f"{target}/{Path(name).relative_to(sources[0]).as_posix()}"
            (goal / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, goal / inside)

    def _run(self, command: str) -> None:
        print(f"check image: {command}", flush=True)
        first = command.replace("python -m venv", f"{sys.executable} -m venv", 1)
        subprocess.run(
            ["sh", "-euc", self.here(first)], cwd=self.root / "app", env=self.environment, check=True, stdout=sys.stderr
        )

    def settings(self, port: int) -> dict[str, str]:
        """The environment of the container, with a token and a free port."""
        set_there = environment(self.final, "")
        own = {name: self.here(value) for name, value in set_there.items() if name != "PATH"}
        return {**self.environment, **own, "QT_PORT": str(port), "QT_ADMIN_TOKEN": "a-token-for-this-check-only"}


def _files(source: Path) -> Iterator[Path]:
    yield from (path for path in sorted(source.rglob("*")) if path.is_file()) if source.is_dir() else [source]


@contextmanager
def started(folder: Folder, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """The image's CMD, ended by its STOPSIGNAL; it must then end by itself."""
    command = next(step for step in folder.final if step.instruction == "CMD").words
    log = folder.root / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder.root / "app", env=settings, stdout=output, stderr=output)
    try:
        yield process
        process.terminate()
        code = process.wait(STOP_SECONDS)
        if code not in (0, -15, 143):
            raise SystemExit(f"check image: it ended with {code}\n{log.read_text(errors='replace')[-2000:]}")
    finally:
        process.kill()
        process.wait()


def wait_until_healthy(folder: Folder, settings: dict[str, str], process: subprocess.Popen[bytes]) -> None:
    """Ask as the HEALTHCHECK does, until the answer is yes."""
    check = next(step for step in folder.final if step.instruction == "HEALTHCHECK").rest.partition("CMD ")[2]
    command, deadline = Step("CMD", check).words, monotonic() + READY_SECONDS
    while subprocess.run(command, env=settings, cwd=folder.root / "app", check=False, capture_output=True).returncode:
        if process.poll() is not None or monotonic() > deadline:
            raise SystemExit(f"check image: never healthy\n{(folder.root / 'log').read_text(errors='replace')[-2000:]}")
        sleep(0.5)


def answer_of(folder: Folder, settings: dict[str, str], *command: str) -> str:
    """What ``docker exec`` with this command would print."""
    done = subprocess.run(command, cwd=folder.root / "app", env=settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"check image: {command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Build, start, ask, stop."""
    with tempfile.TemporaryDirectory(prefix="qt-image-") as name:
        folder = Folder(Path(name))
        folder.make()
        settings = folder.settings(free_port())
        with started(folder, settings) as process:
            wait_until_healthy(folder, settings, process)
            told = answer_of(folder, settings, "python", "-c", COUNT)
            status = answer_of(folder, settings, "qt", "status", "--json")
        if not told.startswith("Total samples: ") or '"samples"' not in status:
            raise SystemExit(f"check image: what docker exec runs answered {told!r} and {status[:200]!r}")
        written = {path.name for path in (folder.root / "data").iterdir()}
        if not {"quantum_trader.db", "models"} <= written:
            raise SystemExit(f"check image: /data holds {sorted(written)}")
    print("check image: built, healthy, answers docker exec's commands, ends at SIGTERM, keeps everything in /data")


if __name__ == "__main__":
    main()
