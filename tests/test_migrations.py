"""The migrations make exactly the tables of the models, can be undone, and guard what must never happen."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from backend import migrations
from backend.database import Database, open_engine
from backend.models import AIModelVersion, Base

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'folder' / 'quantum_trader.db'}"


@pytest.fixture
def other_url(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> str:
    if url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'made.db'}"
    return f"{url.rsplit('/', 1)[0]}/postgres"


def table_names(url: str) -> set[str]:
    engine = open_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def differences(url: str) -> list[object]:
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "compare_server_default": True}
            )
            return list(compare_metadata(context, Base.metadata))
    finally:
        engine.dispose()


def plain(answer: dict[str, object]) -> str:
    """What an inspector says, with the condition of a partial index spelt out."""
    options = {name: str(value) for name, value in dict(answer.get("dialect_options") or {}).items()}
    return repr(answer | {"dialect_options": options})


def test_the_migrations_make_exactly_the_tables_of_the_models(url: str) -> None:
    migrations.upgrade(url)

    assert differences(url) == []
    assert migrations.current_is_head(url)


def test_the_migrated_constraints_and_partial_indexes_are_those_of_the_models(url: str, other_url: str) -> None:
    migrations.upgrade(url)
    made = open_engine(other_url)
    Base.metadata.drop_all(made)
    Base.metadata.create_all(made)
    migrated = open_engine(url)

    for table in Base.metadata.tables:
        for question in ("get_check_constraints", "get_unique_constraints", "get_indexes", "get_foreign_keys"):
            answers = [sorted(map(plain, getattr(inspect(engine), question)(table))) for engine in (migrated, made)]
            assert answers[0] == answers[1], (table, question)
    made.dispose()
    migrated.dispose()


def test_the_migrations_can_be_undone_and_done_again(url: str) -> None:
    migrations.upgrade(url)
    migrations.downgrade(url, "base")

    assert table_names(url) <= {"alembic_version"}
    assert not migrations.current_is_head(url)

    migrations.upgrade(url)
    assert {"ai_training_samples", "ai_model_versions", "trade_logs"} <= table_names(url)


def test_the_revisions_read_from_the_names_are_those_that_alembic_knows() -> None:
    script = ScriptDirectory.from_config(Config(str(ROOT / "alembic.ini")))

    assert migrations.revisions() == [one.revision for one in script.walk_revisions()][::-1]
    assert migrations.head() == script.get_current_head()


def test_migrating_twice_changes_nothing(url: str) -> None:
    migrations.upgrade(url)
    migrations.upgrade(url)

    assert differences(url) == []


def test_asking_after_the_revision_creates_no_database(tmp_path: Path) -> None:
    assert not migrations.current_is_head(f"sqlite:///{tmp_path / 'folder' / 'quantum_trader.db'}")
    assert not (tmp_path / "folder").exists()


def test_alembic_upgrade_head_works_from_the_root_as_the_document_says(tmp_path: Path) -> None:
    target = f"sqlite:///{tmp_path / 'by-alembic.db'}"

    finished = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env={"QT_DATABASE_URL": target, "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    assert "ai_training_samples" in table_names(target)


def test_alembic_has_no_init_file_that_would_hide_the_library() -> None:
    assert not (ROOT / "alembic" / "__init__.py").exists()


STRATEGY = (
    "INSERT INTO strategies (name, market, timeframe, horizon_candles, sides, created_at)"
    " VALUES ('default', 'external', '5m', 12, 'long', '2026-01-01 00:00:00.000000')"
)
SCHEMA = "INSERT INTO feature_schemas (id, hash, names, created_at) VALUES (1, 'h', '[]', '2026-01-01 00:00:00.000000')"


def version(version_id: str, *, active: bool, data_hash: str) -> str:
    return (
        "INSERT INTO ai_model_versions (version_id, model_type, strategy, trained_at, training_samples,"
        " validation_samples, verdict, recommended, is_active, is_shadow, total_predictions, matured_predictions,"
        " neutral_predictions, correct_predictions, total_trades, total_pnl, model_path, artifact_sha256,"
        " artifact_bytes, feature_schema_id, data_hash, report, lineage) VALUES"
        f" ('{version_id}', 'xgboost_continuous', 'default', '2026-01-01', 1, 1, 'no_evidence',"
        f" false, {str(active).lower()}, false,"
        f" 0, 0, 0, 0, 0, 0, 'p', 's', 1, 1, '{data_hash}', '{{}}', '{{}}')"
    )


def sample(decision_id: str, **values: str) -> str:
    columns = {
        "decision_id": f"'{decision_id}'", "strategy": "'default'", "symbol": "'BTCUSDC'",
        "timestamp": "'2026-01-01'", "origin": "'decision'", "state": "'pending'", "predicted_action": "'HOLD'",
        "explored": "false", "feature_schema_id": "1", "features_blob": "''", "horizon_at": "'2026-01-01'",
        "executed": "false", "fees_known": "false", "outcome_known": "false", "created_at": "'2026-01-01'",
    } | values  # fmt: skip
    return f"INSERT INTO ai_training_samples ({', '.join(columns)}) VALUES ({', '.join(columns.values())})"


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        (version("v1", active=True, data_hash="a"), version("v2", active=True, data_hash="b")),
        (version("v1", active=False, data_hash="a"), version("v2", active=False, data_hash="a")),
        (sample("d1"), sample("d1")),
        (sample("d1", predicted_action="'BUY'"), sample("d2", predicted_action="'LONG'")),
        (sample("d1", target_class="'WIN'"), sample("d2", target_class="'PROFIT'")),
    ],
    ids=["one active version", "one version per data", "one row per decision_id", "action", "target_class"],
)
def test_the_database_itself_refuses_what_must_never_be(url: str, allowed: str, refused: str) -> None:
    migrations.upgrade(url)
    database = Database(url)

    def insert(session: object, *statements: str) -> None:
        for statement in statements:
            session.execute(text(statement))  # type: ignore[attr-defined]

    database.write(insert, STRATEGY, SCHEMA, allowed)
    with pytest.raises(IntegrityError):
        database.write(insert, refused)
    database.close()


RELATED = (
    sample("d1"),
    "INSERT INTO forecasts (sample_id, version_id, score, expected_return, confidence, action, role)"
    " VALUES (1, 'v1', 0, 0, 0.5, 'HOLD', 'active')",
    "INSERT INTO fills (sample_id, leg, fill_id, price, quantity, filled_at, body_hash)"
    " VALUES (1, 'entry', 'f', 1, 1, '2026-01-01', 'h')",
    "INSERT INTO activations (strategy, version_id, activated_at, actor) VALUES ('default', 'v1', '2026-01-01', 'a')",
)
NEWER = ("interval_states", "symbol_volatilities", "events", "deliveries")


@pytest.mark.parametrize("revision", ["0002", "0001"])
def test_a_database_in_use_goes_back_to_an_earlier_revision_and_up_again_without_losing_a_row(
    url: str, revision: str
) -> None:
    migrations.upgrade(url)
    database = Database(url)
    begin = (STRATEGY, SCHEMA, version("v1", active=True, data_hash="a"), *RELATED)
    database.write(lambda session: [session.execute(text(statement)) for statement in begin])
    counted = {name: f"SELECT count(*) FROM {name}" for name in Base.metadata.tables if name not in NEWER}
    before = database.read(lambda session: {name: session.scalar(text(count)) for name, count in counted.items()})
    database.close()

    migrations.downgrade(url, revision)
    back = Database(url)
    assert before == back.read(lambda session: {name: session.scalar(text(sql)) for name, sql in counted.items()})
    with pytest.raises(IntegrityError):
        back.write(lambda session: session.execute(text(version("v2", active=True, data_hash="b"))))
    back.close()

    migrations.upgrade(url)
    assert differences(url) == []


def test_a_version_from_before_is_told_what_it_had_learned_until(url: str) -> None:
    migrations.upgrade(url)
    migrations.downgrade(url, "0002")
    database = Database(url)
    lineage = """UPDATE ai_model_versions SET lineage = '{"outcomes_known_until": "2026-01-02T03:04:05Z"}'"""
    begin = (STRATEGY, SCHEMA, version("v1", active=True, data_hash="a"), lineage)
    begin += (version("v2", active=False, data_hash="b"),)
    database.write(lambda session: [session.execute(text(statement)) for statement in begin])

    migrations.upgrade(url)

    query = select(AIModelVersion.learned_until).order_by(AIModelVersion.version_id)
    told = database.read(lambda session: session.scalars(query).all())
    assert told == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None]
    database.close()
