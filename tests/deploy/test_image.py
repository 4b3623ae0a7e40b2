"""The Dockerfile: from the lock, without secrets, for an ordinary user; `make check` takes its steps."""

import subprocess
from pathlib import Path

import pytest

from backend.settings import Settings
from scripts.image import DOCKERFILE, IGNORE, ROOT, Step, environment, sent, stages, steps

TEXT = DOCKERFILE.read_text(encoding="utf-8")
IGNORED = IGNORE.read_text(encoding="utf-8")
BUILD, FINAL = stages(TEXT)


def rest(stage: list[Step], instruction: str) -> list[str]:
    return [step.rest for step in stage if step.instruction == instruction]


def test_steps_are_read_with_their_continued_lines_and_without_comments() -> None:
    text = '# one\nFROM a AS b\nRUN x \\\n    && y\n\n  # two\nCMD ["p", "q r"]\n'

    assert steps(text) == [Step("FROM", "a AS b"), Step("RUN", "x && y"), Step("CMD", '["p", "q r"]')]
    assert [step.words for step in steps(text)][2] == ["p", "q r"]


def test_both_stages_stand_on_one_slim_python_that_the_project_supports() -> None:
    bases = [step.words[0] for stage in (BUILD, FINAL) for step in stage if step.instruction == "FROM"]

    assert bases == ["python:3.11-slim-bookworm"] * 2


def test_everything_is_installed_from_the_hashed_lock_and_nothing_else() -> None:
    installs = [step.rest for step in steps(TEXT) if "pip install" in step.rest]

    assert len(installs) == 2
    assert "--require-hashes --only-binary :all: -r requirements.lock" in installs[0]
    assert "--no-deps" in installs[1]
    assert "--no-index" in installs[1]


def test_the_lock_is_installed_before_the_source_comes_so_that_a_change_of_source_installs_nothing() -> None:
    order = [step.rest for step in BUILD]

    assert order.index("requirements.lock ./") < order.index("backend backend")
    assert next(i for i, one in enumerate(order) if "-r requirements.lock" in one) < order.index("backend backend")


def test_it_runs_as_an_ordinary_user_that_owns_only_its_volume() -> None:
    (account,) = rest(FINAL, "RUN")

    assert rest(FINAL, "USER") == ["quantum"]
    assert "useradd --system" in account
    assert "-o quantum -g quantum -m 0750 /data" in account
    assert rest(FINAL, "VOLUME") == ["/data"]
    assert not [one for one in rest(FINAL, "COPY") if "--chown" in one]


def test_what_it_writes_lies_in_the_volume_and_its_settings_are_known() -> None:
    told = environment(FINAL, "/usr/bin")

    assert told["QT_DATABASE_URL"].startswith("sqlite:////data/")
    assert told["QT_MODEL_DIR"].startswith("/data/")
    assert {name.removeprefix("QT_").lower() for name in told if name.startswith("QT_")} <= set(Settings.__slots__)


def test_python_and_qt_are_the_projects_own_for_docker_exec_too() -> None:
    assert environment(FINAL, "/usr/bin")["PATH"] == "/opt/venv/bin:/usr/bin"
    assert rest(FINAL, "WORKDIR") == ["/app"]
    assert [step.words for step in FINAL if step.instruction == "CMD"] == [["qt", "serve"]]
    assert rest(FINAL, "STOPSIGNAL") == ["SIGTERM"]


def test_no_layer_holds_a_secret() -> None:
    secret = ("TOKEN=", "PASSWORD", "SECRET", ".env", "NOTIFY", "WEBHOOK")

    layers = [step.rest for step in steps(TEXT) if step.instruction in ("ENV", "ARG", "COPY", "ADD", "RUN")]
    assert [layer for layer in layers if any(word in layer.upper().replace(".ENV", ".env") for word in secret)] == []
    assert not [step for step in steps(TEXT) if step.instruction in ("ADD", "ARG")]


def test_its_health_is_asked_of_the_service_itself() -> None:
    (check,) = rest(FINAL, "HEALTHCHECK")
    options, _, command = check.partition("CMD ")

    program = Step("CMD", command).words
    assert program[:2] == ["python", "-c"]
    assert "/health/ready" in program[2]
    assert "--start-period=" in options
    compile(program[2], "healthcheck", "exec")


# --- What reaches the build ---


def tracked() -> list[str]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if names.returncode:
        pytest.skip("this is no git checkout")
    return names.stdout.splitlines()


def test_every_file_of_the_product_reaches_the_image() -> None:
    folders = ("backend/", "ai_engine/", "alembic/")
    product = {name for name in tracked() if name.startswith(folders)}

    reaching = set(sent(tracked(), IGNORED))
    assert product <= reaching
    assert reaching - product == {"requirements.lock", "pyproject.toml", "alembic.ini", "README.md", "LICENSE"}


def test_what_is_copied_is_let_in() -> None:
    sources = [word for one in rest(BUILD, "COPY") for word in one.split()[:-1]]
    reaching = set(sent([path for source in sources for path in files_of(ROOT / source)], IGNORED))

    assert {
        source for source in sources if any(name == source or name.startswith(f"{source}/") for name in reaching)
    } == set(sources)


def files_of(path: Path) -> list[str]:
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [one.relative_to(ROOT).as_posix() for one in found]


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "backend/.env",
        "deploy/.env",
        "deploy/secrets/quantum_trader.env",
        "backend/quantum_trader.db",
        "backend/quantum_trader.db-wal",
        "backend/data/trades.db",
        "ai_engine/models/xgb_model_v20260101_000000.pkl",
        "backend/api/__pycache__/auth.cpython-311.pyc",
        ".git/config",
        ".venv/bin/python",
        "var/quantum_trader.log",
        "tests/service.py",
        "requirements-dev.lock",
    ],
)
def test_what_is_no_part_of_the_product_stays_out(path: str) -> None:
    assert list(sent([path], IGNORED)) == []
