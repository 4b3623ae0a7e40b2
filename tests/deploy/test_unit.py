"""The systemd unit: it starts what is there and forbids what nothing needs; `make check` has systemd's own opinion."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend.cli.main import COMMANDS
from backend.settings import ROOT

UNIT = ROOT / "deploy" / "quantum_backend.service"
TEXT = UNIT.read_text(encoding="utf-8")
FOLDER = "/opt/quantum-trader"
PR_SET_MDWE = 65


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in TEXT.splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def test_it_starts_the_service_from_the_project() -> None:
    told = settings()

    assert told["ExecStart"] == [f"{FOLDER}/.venv/bin/qt serve"]
    assert told["WorkingDirectory"] == [FOLDER]
    assert "serve" in COMMANDS


def test_the_steps_in_its_head_put_everything_it_writes_where_it_may_write() -> None:
    head = TEXT.partition("[Unit]")[0]
    (state,) = settings()["StateDirectory"]

    assert f"QT_DATABASE_URL=sqlite:////var/lib/{state}/" in head
    assert f"QT_MODEL_DIR=/var/lib/{state}/" in head
    assert f"useradd --system --home-dir /var/lib/{state}" in head
    assert "scripts/setup.py --no-migrate" in head


def test_it_comes_back_after_a_failure_and_stops_in_order() -> None:
    told = settings()

    assert told["Restart"] == ["on-failure"]
    assert told["KillSignal"] == ["SIGTERM"]
    assert told["KillMode"] == ["mixed"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User", "quantum-trader"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("CapabilityBoundingSet", ""),
        ("MemoryDenyWriteExecute", "yes"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ("UMask", "0077"),
    ],
)
def test_it_is_shut_in(name: str, value: str) -> None:
    assert settings()[name] == [value]


def test_it_sees_the_processes_of_others_by_which_it_knows_whose_run_is_lost() -> None:
    """With ProtectProc=invisible a run of `qt retrain` in a terminal would look as if its process were gone."""
    assert not {"ProtectProc", "ProcSubset", "PrivatePIDs"} & set(settings())


NEEDS_NO_CODE_WRITTEN_AT_RUN_TIME = """
import ctypes, mmap, sys
assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except OSError:
    pass
else:
    sys.exit("not in force")
from pathlib import Path
from tests.api.conftest import NOW, closed_samples, features, open_client, settings_in
import pandas, sklearn.linear_model, scipy.stats, talib, ccxt.async_support, apprise, psycopg
with open_client(settings_in(Path(sys.argv[1])), lambda: NOW) as client:
    client.post("/ai/training-samples", json={"samples": closed_samples(120)})
    trained = client.post("/ai/retrain").json()
    client.post(f"/ai/activate-model/{trained['version_id']}?force=true&reason=test")
    body = {"symbol": "BTCUSDC", "price": 1.0, "features": features()}
    decided = client.post("/ai/decisions", json=body).json()
    print(trained["status"], decided["model_version"] == trained["version_id"])
"""


def can_be_denied() -> bool:
    """Whether this kernel knows the rule that systemd's MemoryDenyWriteExecute= makes by other means."""
    if sys.platform != "linux":
        return False
    program = f"import ctypes, sys; sys.exit(ctypes.CDLL(None).prctl({PR_SET_MDWE}, 1, 0, 0, 0))"
    return subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.slow
def test_training_and_serving_work_where_memory_is_writable_or_code_but_never_both(tmp_path: Path) -> None:
    if not can_be_denied():
        pytest.skip("this kernel cannot deny memory that is writable and code (Linux 6.3 can)")

    done = subprocess.run(
        [sys.executable, "-c", NEEDS_NO_CODE_WRITTEN_AT_RUN_TIME, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, "success True\n"), done.stderr[-2000:]
