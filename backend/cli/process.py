"""``qt start`` and ``qt stop``: the service in the background, known by a file below ``var/``."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend import system
from backend.cli.listening import address, listen, reachable
from backend.cli.output import JsonOption
from backend.errors import UnavailableError
from backend.settings import ROOT, Settings, load_settings

START_SECONDS = 90.0
STOP_SECONDS = 30.0
LOG_LINES_TOLD = 1


@dataclass(frozen=True, slots=True)
class Places:
    """The files of a service in the background."""

    folder: Path

    @property
    def pid(self) -> Path:
        """Who runs: a process's id and when it began, so that a later process of the same id is not mistaken for it."""
        return self.folder / "quantum_trader.pid"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "quantum_trader.log"

    @property
    def lock(self) -> Path:
        """Held while one ``qt start`` or ``qt stop`` is at work."""
        return self.folder / "quantum_trader.lock"


def start(as_json: JsonOption = False) -> None:
    """Start the service in the background; it logs to var/quantum_trader.log."""
    settings, places = load_settings(), places_below(ROOT / "var")
    with system.file_lock(places.lock) as free:
        _refuse_unless(free)
        pid = running(places)
        begun = pid is None
        if pid is None:
            listen(settings).close()
            pid = launch(places)
            await_ready(places, settings, pid)
    url = address(settings)
    sentence = f"{'Started' if begun else 'Already running'} at {url} (process {pid}); it logs to {places.log}."
    _tell({"status": "ok", "pid": pid, "url": url, "started": begun}, sentence, as_json)


def stop(as_json: JsonOption = False) -> None:
    """Stop the service that qt start started."""
    places = places_below(ROOT / "var")
    with system.file_lock(places.lock) as free:
        _refuse_unless(free)
        pid = running(places)
        if pid is not None:
            end(pid)
        places.pid.unlink(missing_ok=True)
    if pid is None:
        _refuse_another(load_settings())
    sentence = "It was not running." if pid is None else f"Stopped (process {pid})."
    _tell({"status": "ok", "pid": pid, "stopped": pid is not None}, sentence, as_json)


def running(places: Places) -> int | None:
    """The process that was started and still runs."""
    try:
        known = json.loads(places.pid.read_text(encoding="utf-8"))
        pid, began = int(known["pid"]), str(known["began"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return pid if system.process_start(pid) == began else None


def launch(places: Places) -> int:
    """Start ``qt serve`` so that it outlives this terminal."""
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    with places.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "backend.cli.main", "serve"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            **apart,
        )
    known = {"pid": process.pid, "began": system.process_start(process.pid)}
    places.pid.write_text(json.dumps(known), encoding="utf-8")
    return process.pid


def await_ready(places: Places, settings: Settings, pid: int) -> None:
    """Wait until it answers; where it ended instead, its last words are the reason."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if running(places) != pid:
            places.pid.unlink(missing_ok=True)
            raise UnavailableError(f"It ended at once: {_last_words(places.log)}", reason="not_started")
        if answers(settings):
            return
        time.sleep(0.2)
    raise UnavailableError(
        f"It runs (process {pid}) but does not answer within {START_SECONDS:.0f} s. See {places.log}, or: qt stop",
        reason="not_ready",
    )


def end(pid: int) -> None:
    """Ask the process to end, and insist where it does not."""
    _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while system.pid_alive(pid):
        if time.monotonic() > deadline:
            _signal(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
            deadline = float("inf")
        time.sleep(0.1)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def answers(settings: Settings) -> bool:
    """Whether a service answers where these settings say that it listens."""
    connection = http.client.HTTPConnection(reachable(settings), settings.port, timeout=2)
    try:
        connection.request("GET", "/health/live", headers={"Host": settings.allowed_hosts[0]})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " ".join(lines[-LOG_LINES_TOLD:]) or f"see {log}"


def places_below(folder: Path) -> Places:
    """The files of a service in the background; the folder is made."""
    folder.mkdir(exist_ok=True)
    return Places(folder)


def _refuse_another(settings: Settings) -> None:
    """Nothing was stopped, but something still answers: that must not be told as a service that does not run."""
    if answers(settings):
        raise UnavailableError(
            f"qt start did not start what answers at {address(settings)}: it runs in a terminal (make run, qt serve) or"
            " under a supervisor. Stop it there: Ctrl-C in the terminal.",
            reason="not_ours",
        )


def _refuse_unless(free: bool) -> None:
    if not free:
        raise UnavailableError("Another qt start or qt stop is at work. Try again in a moment.", reason="busy")


def _tell(told: dict[str, Any], sentence: str, as_json: bool) -> None:
    print(json.dumps(told) if as_json else sentence)
