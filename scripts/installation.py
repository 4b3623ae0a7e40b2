"""Make the virtual environment, install the lock into it, write ``.env`` and migrate; each only where needed."""

import argparse
import hashlib
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENV_TEXT = """\
# Made by scripts/setup.py. Every setting, with its default and meaning, stands in .env.example.
QT_ADMIN_TOKEN={token}
"""


class SetupError(Exception):
    """The set-up cannot go on; one sentence with the remedy."""


@dataclass(frozen=True)
class Places:
    """Where everything lies below one project folder."""

    root: Path

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def bin(self) -> Path:
        return self.venv / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> Path:
        return self.bin / ("python.exe" if os.name == "nt" else "python")

    @property
    def qt(self) -> Path:
        return self.bin / ("qt.exe" if os.name == "nt" else "qt")

    @property
    def stamp(self) -> Path:
        return self.venv / "quantum-trader-installed.json"

    def lock(self, dev: bool) -> Path:
        return self.root / ("requirements-dev.lock" if dev else "requirements.lock")


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Run the set-up; the answer is the process's exit code."""
    parser = argparse.ArgumentParser(prog="setup.py", description="Install what is missing, write .env, migrate.")
    parser.add_argument("--dev", action="store_true", help="install what tests and checks need, and stop there")
    parser.add_argument("--no-migrate", action="store_true", help="leave the database to qt serve, which migrates")
    options = parser.parse_args(arguments)
    places = Places(root)
    try:
        install(places, dev=options.dev)
        if not options.dev:
            write_env(root / ".env")
            if not options.no_migrate:
                _run([str(places.qt), "migrate"], "The database could not be migrated; the line above says why.")
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; run it again to go on.", file=sys.stderr)
        return 1
    return 0


def install(places: Places, *, dev: bool) -> None:
    """Bring ``.venv`` to what the lock says; nothing at all when it is there already."""
    wanted = fingerprint(places, dev=dev)
    if wanted in _installed(places):
        return
    kept = [other for other in _installed(places) if other == fingerprint(places, dev=not dev)]
    places.stamp.unlink(missing_ok=True)
    _make_venv(places)
    print(f"Installing {places.lock(dev).name} into .venv (a minute or two the first time) ...", flush=True)
    pip = [str(places.python), "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", "install"]
    _run(
        [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(places.lock(dev))],
        "The packages could not be installed; pip says why above. Prebuilt packages exist for CPython 3.11 to 3.14 on "
        "Linux with glibc, Windows and macOS 14 or newer.",
    )
    _run(
        [*pip, "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(places.root)],
        "The project itself could not be installed into .venv; pip says why above.",
    )
    # The development lock holds every pin of the other one, so it serves for both.
    both = [fingerprint(places, dev=False)] if dev else []
    places.stamp.write_text(json.dumps([*dict.fromkeys([*kept, *both, wanted])]), encoding="utf-8")


def fingerprint(places: Places, *, dev: bool) -> str:
    """A hash of all that an installation depends on: the lock, the project's description, the Python, the folder."""
    parts = (places.lock(dev).read_bytes(), (places.root / "pyproject.toml").read_bytes())
    about = f"{places.root}\n{sys.version_info[:2]}\n{sys.platform}".encode()
    return hashlib.sha256(b"\n".join((*parts, about))).hexdigest()


def _installed(places: Places) -> list[str]:
    if not places.python.exists():
        return []
    try:
        return list(json.loads(places.stamp.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return []


def _make_venv(places: Places) -> None:
    check_venv_module()
    if _runs_here(places):
        return
    print("Making .venv ...", flush=True)
    try:
        venv.EnvBuilder(with_pip=True, clear=places.venv.exists()).create(places.venv)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(f".venv could not be made ({error}); make the folder writable, or free some space.") from error


def check_venv_module(modules: Sequence[str] = ("venv", "ensurepip")) -> None:
    """Say what to install where Python came without what makes a virtual environment (Debian splits it off)."""
    if all(importlib.util.find_spec(name) for name in modules):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    raise SetupError(f"This Python lacks its venv module; on Debian or Ubuntu: sudo apt install {package}")


def _runs_here(places: Places) -> bool:
    """Whether ``.venv`` was made by this version of Python, in this folder, and still starts."""
    program = "import sys; print(sys.prefix, *sys.version_info[:2], sep='|'); import pip"
    if not places.python.exists():
        return False
    try:
        answer = subprocess.run([str(places.python), "-c", program], capture_output=True, text=True, check=False)
    except OSError:
        return False
    wanted = f"{places.venv}|{sys.version_info.major}|{sys.version_info.minor}"
    return answer.returncode == 0 and answer.stdout.strip() == wanted and _scripts_start_here(places)


def _scripts_start_here(places: Places) -> bool:
    """A folder that was moved keeps scripts that point to where it was."""
    script = places.bin / "pip"
    return os.name == "nt" or (script.exists() and str(places.bin).encode() in script.read_bytes())


def write_env(path: Path) -> bool:
    """Write ``.env`` with a random admin token when there is none: readable by its owner only, whole or not at all."""
    if path.exists():
        return False
    temporary = path.with_name(f".env.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(ENV_TEXT.format(token=secrets.token_urlsafe(32)))
        # Both refuse to overwrite, so that of two set-ups at once one wins and the other keeps its hands off.
        (os.rename if os.name == "nt" else os.link)(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    print("Wrote .env with a random admin token.", flush=True)
    return True


def _run(command: Sequence[str], sentence: str) -> None:
    try:
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise SetupError(f"{sentence} ({error})") from error
    if code:
        raise SetupError(sentence)
