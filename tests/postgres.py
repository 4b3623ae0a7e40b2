"""A throw-away PostgreSQL server for tests that must hold there too."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def programs() -> Path | None:
    """The folder with initdb and postgres, or None where there is no server on this machine."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    return next((place for place in [*candidates, *PLACES] if (place / "postgres").exists()), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged() -> str | None:
    """The server refuses to run as root: the account to run it as, None where we are not root."""
    if os.geteuid() != 0:
        return None
    return "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"


@contextmanager
def running_server(place: Path) -> Iterator[str]:
    """A fresh cluster on a free loopback port; gives its address without a database name."""
    account = unprivileged()
    with tempfile.TemporaryDirectory(prefix="qt-postgres-") as name:
        folder = Path(name)
        if account:
            shutil.chown(folder, account)
        run = {"user": account, "cwd": folder} if account else {"cwd": folder}
        port, data = free_port(), folder / "data"
        subprocess.run(
            [place / "initdb", "-D", data, "-U", "qt", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C"],
            check=True, capture_output=True, **run,
        )  # fmt: skip
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        control = [place / "pg_ctl", "-D", data, "-w", "-t", "60"]
        subprocess.run(
            [*control, "-l", folder / "log", "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, **run
        )
        try:
            yield f"postgresql+psycopg://qt@127.0.0.1:{port}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, **run)
