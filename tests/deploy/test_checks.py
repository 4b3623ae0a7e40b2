"""The checks by other programs: one that is absent is a skip with its reason, or a failure where it is required."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from backend.settings import ROOT
from scripts.dashboard_rules import expressions

CHECKS = {
    "prometheus": "promtool", "unit": "systemd-analyze", "compose": "docker-compose",
    "openapi": "npm", "client": "java",
}  # fmt: skip
KINDS = {"prometheus": "promtool", "unit": "systemd", "compose": "compose", "openapi": "spectral", "client": "java"}
pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="there is no POSIX shell here")


def run(name: str, folder: Path, required: str = "") -> subprocess.CompletedProcess[str]:
    """The check, with no program within reach but those that every machine has."""
    for program in ("sh", "dirname", "mktemp", "rm"):
        (folder / program).symlink_to(shutil.which(program) or program)
    environment = {"PATH": str(folder), "CHECK_REQUIRES": required}
    shell = shutil.which("sh") or "sh"
    return subprocess.run(
        [shell, ROOT / "scripts" / f"check_{name}.sh"], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_without_its_program_is_skipped_with_the_reason(tmp_path: Path, name: str) -> None:
    done = run(name, tmp_path)

    assert done.returncode == 0, done.stderr
    assert re.search(rf"skipped, because {CHECKS[name]} is not on this machine \(Debian: \S+\)", done.stdout)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_without_its_program_fails_where_it_is_required(tmp_path: Path, name: str) -> None:
    done = run(name, tmp_path, required=f"postgres,{KINDS[name]}")

    assert done.returncode == 1
    assert f"{CHECKS[name]} is absent" in done.stderr


@pytest.mark.parametrize("name", CHECKS)
def test_another_kind_that_is_required_is_not_this_one(tmp_path: Path, name: str) -> None:
    assert run(name, tmp_path, required=f"postgres,not-{KINDS[name]},{KINDS[name]}s").returncode == 0


def test_make_check_runs_each_and_ci_requires_each() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (judged,) = re.findall(r"^JUDGED := (.*)$", makefile, re.MULTILINE)
    (required,) = re.findall(r"CHECK_REQUIRES=(\S+)", ci)

    scripts = {path.stem.removeprefix("check_") for path in (ROOT / "scripts").glob("check_*.sh")} - {"requires"}
    assert set(judged.split()) == set(CHECKS) == scripts
    assert "scripts/check_image.py" in makefile
    assert {"postgres", *KINDS.values()} <= set(required.split(","))


def test_the_dashboards_expressions_are_all_handed_to_promtool() -> None:
    panel = {"targets": [{"expr": 'rate(a{job="$job"}[$__rate_interval])'}, {"expr": "b"}]}
    dashboard = {
        "panels": [panel, {"type": "row"}],
        "annotations": {"list": [{"expr": "c"}, {"name": "no expression"}]},
    }

    assert expressions(dashboard) == ['rate(a{job="any"}[5m])', "b", "c"]


BROKEN = {
    "rules.yml": ("for: 2m", "for: two minutes"),
    "rules_test.yml": ("eval_time: 12m", "eval_time: 11m"),
    "prometheus.yml": ("scrape_configs", "scrape_config"),
}


@pytest.mark.promtool
@pytest.mark.parametrize("file", BROKEN)
def test_promtool_refuses_what_is_broken(tmp_path: Path, file: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not on this machine (Debian: prometheus)")
    for part in ("scripts", "deploy"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("node_modules", "secrets", ".env"))
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    environment = {**os.environ, "CHECK_REQUIRES": "promtool"}
    command = ["sh", tmp_path / "scripts" / "check_prometheus.sh"]

    whole = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    path = tmp_path / "deploy" / "prometheus" / file
    path.write_text(path.read_text(encoding="utf-8").replace(*BROKEN[file]), encoding="utf-8")
    broken = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert broken.returncode != 0
