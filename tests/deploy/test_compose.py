"""The compose file fits the image, the settings and the documents; `make check` has Compose's own opinion."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.env_file import read
from backend.settings import ROOT, load_settings
from scripts.image import DOCKERFILE, stages

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BACKEND = SERVICES["backend"]
needs_shell = pytest.mark.skipif(shutil.which("sh") is None, reason="there is no POSIX shell here")


def test_the_container_has_the_name_of_the_user_documents() -> None:
    assert BACKEND["container_name"] == "quantum_backend"


def test_the_image_is_built_from_the_dockerfile_with_the_repository_as_its_context() -> None:
    build = BACKEND["build"]

    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]) == DOCKERFILE


def test_it_waits_for_a_database_that_is_healthy() -> None:
    assert BACKEND["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert SERVICES["database"]["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    assert SERVICES["database"]["image"].startswith("postgres:")


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_backend_writes_nowhere_but_in_its_volume() -> None:
    (volume,) = [
        step.rest for step in stages(DOCKERFILE.read_text(encoding="utf-8"))[1] if step.instruction == "VOLUME"
    ]

    assert BACKEND["volumes"] == [f"models:{volume}"]
    assert BACKEND["read_only"] is True
    assert BACKEND["cap_drop"] == ["ALL"]
    assert BACKEND["security_opt"] == ["no-new-privileges:true"]


def test_monitoring_is_started_only_when_it_is_asked_for() -> None:
    asked = {name for name, service in SERVICES.items() if service.get("profiles") == ["monitoring"]}

    assert asked == {"prometheus", "grafana"}
    assert set(SERVICES) - asked == {"backend", "database"}


def test_every_mounted_file_is_there_and_every_volume_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume


def test_what_prometheus_scrapes_is_the_backend_under_a_name_that_it_answers_to() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    host, _, port = target.partition(":")

    assert host in SERVICES
    assert host in default_of(BACKEND["environment"]["QT_ALLOWED_HOSTS"]).split(",")
    assert port == BACKEND["environment"]["QT_PORT"]
    (name,) = SERVICES["prometheus"]["secrets"]
    assert config["scrape_configs"][0]["authorization"]["credentials_file"] == f"/run/secrets/{name}"


def default_of(text: str) -> str:
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "deploy"
    folder.mkdir()
    shutil.copy(DEPLOY / "secrets.sh", folder)
    return folder


def make_secrets(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", folder / "secrets.sh"], capture_output=True, text=True, check=False, cwd="/")


@needs_shell
def test_the_secrets_are_random_strong_and_shut_in(copy: Path) -> None:
    done = make_secrets(copy)

    assert done.returncode == 0, done.stderr
    tokens, passwords = read(copy / "secrets" / "quantum_trader.env"), read(copy / ".env")
    assert set(tokens) == {"QT_ADMIN_TOKEN", "QT_METRICS_TOKEN"}
    assert set(passwords) == {"POSTGRES_PASSWORD", "GRAFANA_PASSWORD"}
    values = [*tokens.values(), *passwords.values()]
    assert len(set(values)) == 4
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in values)
    assert (copy / "secrets" / "metrics_token").read_text() == tokens["QT_METRICS_TOKEN"]
    assert all(value not in done.stdout + done.stderr for value in values)
    if os.name != "nt":
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (copy / ".env", copy / "secrets")}
        assert list(modes.values()) == [0o600, 0o700]


@needs_shell
def test_secrets_that_are_there_are_never_written_over(copy: Path) -> None:
    make_secrets(copy)
    before = (copy / ".env").read_text()

    again = make_secrets(copy)

    assert again.returncode == 1
    assert "already" in again.stderr
    assert (copy / ".env").read_text() == before


@needs_shell
def test_the_service_takes_the_settings_that_compose_gives_it(copy: Path) -> None:
    make_secrets(copy)
    password = read(copy / ".env")["POSTGRES_PASSWORD"]
    given = {**read(copy / "secrets" / "quantum_trader.env"), **BACKEND["environment"]}
    environ = {
        name: default_of(re.sub(r"\$\{POSTGRES_PASSWORD:\?[^}]*\}", password, value)) for name, value in given.items()
    }

    settings = load_settings(environ=environ, env_file=None)

    assert settings.database_url == f"postgresql+psycopg://quantum:{password}@database/quantum"
    assert settings.allowed_hosts == ("127.0.0.1", "localhost", "backend")
    assert settings.metrics_token is not None
    database = SERVICES["database"]["environment"]
    assert (database["POSTGRES_USER"], database["POSTGRES_DB"]) == ("quantum", "quantum")
