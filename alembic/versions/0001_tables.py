"""Every table of the first release.

Revises:
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("severity IN ('info', 'warning', 'error')", name=op.f("ck_alarms_severity_known")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarms")),
    )
    op.create_index(
        "uq_alarms_open",
        "alarms",
        ["code", "subject"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=True),
        sa.Column("subject", sa.String(length=128), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "candles",
        sa.Column("market", sa.String(length=80), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("timeframe", sa.String(length=8), nullable=False),
        sa.Column("open_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("open", sa.Double(), nullable=False),
        sa.Column("high", sa.Double(), nullable=False),
        sa.Column("low", sa.Double(), nullable=False),
        sa.Column("close", sa.Double(), nullable=False),
        sa.Column("volume", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("market", "symbol", "timeframe", "open_time", name=op.f("pk_candles")),
    )
    op.create_table(
        "feature_schemas",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feature_schemas")),
        sa.UniqueConstraint("hash", name=op.f("uq_feature_schemas_hash")),
    )
    op.create_table(
        "feeds",
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("market_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('warming', 'running', 'finished', 'stale', 'off')", name=op.f("ck_feeds_state_known")
        ),
        sa.PrimaryKeyConstraint("strategy", name=op.f("pk_feeds")),
    )
    op.create_table(
        "job_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("job", sa.String(length=40), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("stage", sa.String(length=32), nullable=True),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'success', 'skipped', 'error', 'missed')", name=op.f("ck_job_runs_state_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_runs")),
        sa.UniqueConstraint("job", "strategy", "slot", name=op.f("uq_job_runs_job_strategy_slot")),
        sa.UniqueConstraint("run_id", name=op.f("uq_job_runs_run_id")),
    )
    op.create_index(
        "uq_job_runs_running",
        "job_runs",
        ["job", "strategy"],
        unique=True,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "strategies",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("market", sa.String(length=64), nullable=False),
        sa.Column("timeframe", sa.String(length=8), nullable=False),
        sa.Column("horizon_candles", sa.Integer(), nullable=False),
        sa.Column("sides", sa.String(length=16), nullable=False),
        sa.Column("feature_schema_id", sa.Integer(), nullable=True),
        sa.Column("looks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("sides IN ('long', 'long,short')", name=op.f("ck_strategies_sides_known")),
        sa.ForeignKeyConstraint(
            ["feature_schema_id"], ["feature_schemas.id"], name=op.f("fk_strategies_feature_schema_id_feature_schemas")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_strategies")),
    )
    op.create_table(
        "ai_model_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.String(length=32), nullable=False),
        sa.Column("model_type", sa.String(length=32), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("trained_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("training_samples", sa.Integer(), nullable=False),
        sa.Column("validation_samples", sa.Integer(), nullable=False),
        sa.Column("train_accuracy", sa.Double(), nullable=True),
        sa.Column("validation_accuracy", sa.Double(), nullable=True),
        sa.Column("train_mae", sa.Double(), nullable=True),
        sa.Column("validation_mae", sa.Double(), nullable=True),
        sa.Column("verdict", sa.String(length=24), nullable=False),
        sa.Column("recommended", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("is_shadow", sa.Boolean(), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("total_predictions", sa.Integer(), nullable=False),
        sa.Column("matured_predictions", sa.Integer(), nullable=False),
        sa.Column("neutral_predictions", sa.Integer(), nullable=False),
        sa.Column("correct_predictions", sa.Integer(), nullable=False),
        sa.Column("live_accuracy", sa.Double(), nullable=True),
        sa.Column("total_trades", sa.Integer(), nullable=False),
        sa.Column("total_pnl", sa.Double(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("model_path", sa.String(length=255), nullable=False),
        sa.Column("artifact_sha256", sa.String(length=64), nullable=False),
        sa.Column("artifact_bytes", sa.Integer(), nullable=False),
        sa.Column("feature_schema_id", sa.Integer(), nullable=False),
        sa.Column("data_hash", sa.String(length=64), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("lineage", sa.JSON(), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('degenerate', 'insufficient_data', 'suspected_leakage', 'no_evidence', 'evidence',"
            " 'strong_evidence')",
            name=op.f("ck_ai_model_versions_verdict_known"),
        ),
        sa.ForeignKeyConstraint(
            ["feature_schema_id"],
            ["feature_schemas.id"],
            name=op.f("fk_ai_model_versions_feature_schema_id_feature_schemas"),
        ),
        sa.ForeignKeyConstraint(
            ["strategy"], ["strategies.name"], name=op.f("fk_ai_model_versions_strategy_strategies")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ai_model_versions")),
        sa.UniqueConstraint("strategy", "data_hash", name=op.f("uq_ai_model_versions_strategy_data_hash")),
        sa.UniqueConstraint("version_id", name=op.f("uq_ai_model_versions_version_id")),
    )
    op.create_index(
        "ix_ai_model_versions_strategy_trained_at", "ai_model_versions", ["strategy", "trained_at"], unique=False
    )
    op.create_index(
        "uq_ai_model_versions_active",
        "ai_model_versions",
        ["strategy"],
        unique=True,
        sqlite_where=sa.text("is_active"),
        postgresql_where=sa.text("is_active"),
    )
    op.create_table(
        "ai_training_samples",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("decision_id", sa.String(length=128), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("price", sa.Double(), nullable=True),
        sa.Column("predicted_action", sa.String(length=4), nullable=False),
        sa.Column("prediction_score", sa.Double(), nullable=True),
        sa.Column("prediction_confidence", sa.Double(), nullable=True),
        sa.Column("expected_return", sa.Double(), nullable=True),
        sa.Column("expected_return_low", sa.Double(), nullable=True),
        sa.Column("expected_return_high", sa.Double(), nullable=True),
        sa.Column("model_version", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("explored", sa.Boolean(), nullable=False),
        sa.Column("propensity", sa.Double(), nullable=True),
        sa.Column("feature_schema_id", sa.Integer(), nullable=False),
        sa.Column("features_blob", sa.LargeBinary(), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=True),
        sa.Column("horizon_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("forward_return", sa.Double(), nullable=True),
        sa.Column("forward_return_source", sa.String(length=16), nullable=True),
        sa.Column("forward_price_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("executed", sa.Boolean(), nullable=False),
        sa.Column("execution_side", sa.String(length=4), nullable=True),
        sa.Column("entry_price", sa.Double(), nullable=True),
        sa.Column("quantity", sa.Double(), nullable=True),
        sa.Column("entry_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fees", sa.Double(), nullable=True),
        sa.Column("fees_known", sa.Boolean(), nullable=False),
        sa.Column("exit_price", sa.Double(), nullable=True),
        sa.Column("exit_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_reason", sa.String(length=64), nullable=True),
        sa.Column("realized_pnl", sa.Double(), nullable=True),
        sa.Column("reported_pnl", sa.Double(), nullable=True),
        sa.Column("market_return", sa.Double(), nullable=True),
        sa.Column("target_label", sa.Double(), nullable=True),
        sa.Column("target_class", sa.String(length=8), nullable=True),
        sa.Column("label_source", sa.String(length=16), nullable=True),
        sa.Column("outcome_known", sa.Boolean(), nullable=False),
        sa.Column("outcome_recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quarantine_reason", sa.String(length=64), nullable=True),
        sa.Column("warning", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "execution_side IN ('BUY', 'SELL')", name=op.f("ck_ai_training_samples_execution_side_known")
        ),
        sa.CheckConstraint(
            "label_source IN ('executed', 'counterfactual', 'historical', 'synthetic')",
            name=op.f("ck_ai_training_samples_label_source_known"),
        ),
        sa.CheckConstraint(
            "origin IN ('decision', 'import', 'historical', 'synthetic')",
            name=op.f("ck_ai_training_samples_origin_known"),
        ),
        sa.CheckConstraint(
            "predicted_action IN ('BUY', 'SELL', 'HOLD')", name=op.f("ck_ai_training_samples_action_known")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'open', 'closed', 'unobservable')", name=op.f("ck_ai_training_samples_state_known")
        ),
        sa.CheckConstraint(
            "target_class IN ('WIN', 'LOSS', 'NEUTRAL')", name=op.f("ck_ai_training_samples_target_class_known")
        ),
        sa.ForeignKeyConstraint(
            ["feature_schema_id"],
            ["feature_schemas.id"],
            name=op.f("fk_ai_training_samples_feature_schema_id_feature_schemas"),
        ),
        sa.ForeignKeyConstraint(
            ["strategy"], ["strategies.name"], name=op.f("fk_ai_training_samples_strategy_strategies")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ai_training_samples")),
        sa.UniqueConstraint("strategy", "decision_id", name=op.f("uq_ai_training_samples_strategy_decision_id")),
    )
    op.create_index("ix_ai_training_samples_model_version", "ai_training_samples", ["model_version"], unique=False)
    op.create_index(
        "ix_ai_training_samples_strategy_outcome_known_id",
        "ai_training_samples",
        ["strategy", "outcome_known", "id"],
        unique=False,
    )
    op.create_index(
        "ix_ai_training_samples_strategy_symbol_timestamp",
        "ai_training_samples",
        ["strategy", "symbol", "timestamp"],
        unique=False,
    )
    op.create_index(
        "ix_ai_training_samples_strategy_timestamp",
        "ai_training_samples",
        ["strategy", "timestamp", "id"],
        unique=False,
    )
    op.create_index(
        "ix_ai_training_samples_unsettled",
        "ai_training_samples",
        ["strategy", "origin", "horizon_at"],
        unique=False,
        sqlite_where=sa.text("forward_return IS NULL AND forward_return_source IS NULL"),
        postgresql_where=sa.text("forward_return IS NULL AND forward_return_source IS NULL"),
    )
    op.create_table(
        "activations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("version_id", sa.String(length=32), nullable=True),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["strategy"], ["strategies.name"], name=op.f("fk_activations_strategy_strategies")),
        sa.ForeignKeyConstraint(
            ["version_id"], ["ai_model_versions.version_id"], name=op.f("fk_activations_version_id_ai_model_versions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activations")),
    )
    op.create_index("ix_activations_strategy_id", "activations", ["strategy", "id"], unique=False)
    op.create_table(
        "fills",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("leg", sa.String(length=5), nullable=False),
        sa.Column("fill_id", sa.String(length=128), nullable=False),
        sa.Column("price", sa.Double(), nullable=False),
        sa.Column("quantity", sa.Double(), nullable=True),
        sa.Column("fees", sa.Double(), nullable=True),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint("leg IN ('entry', 'exit')", name=op.f("ck_fills_leg_known")),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["ai_training_samples.id"], name=op.f("fk_fills_sample_id_ai_training_samples")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fills")),
        sa.UniqueConstraint("sample_id", "leg", "fill_id", name=op.f("uq_fills_sample_id_leg_fill_id")),
    )
    op.create_table(
        "forecasts",
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.String(length=32), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("expected_return", sa.Double(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("action", sa.String(length=4), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.CheckConstraint("action IN ('BUY', 'SELL', 'HOLD')", name=op.f("ck_forecasts_action_known")),
        sa.CheckConstraint("role IN ('active', 'shadow')", name=op.f("ck_forecasts_role_known")),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["ai_training_samples.id"], name=op.f("fk_forecasts_sample_id_ai_training_samples")
        ),
        sa.ForeignKeyConstraint(
            ["version_id"], ["ai_model_versions.version_id"], name=op.f("fk_forecasts_version_id_ai_model_versions")
        ),
        sa.PrimaryKeyConstraint("sample_id", "version_id", name=op.f("pk_forecasts")),
    )
    op.create_index("ix_forecasts_version_id", "forecasts", ["version_id"], unique=False)
    op.create_table(
        "positions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("ordered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.Double(), nullable=True),
        sa.Column("entry_price", sa.Double(), nullable=True),
        sa.Column("entry_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("target_price", sa.Double(), nullable=True),
        sa.Column("stop_price", sa.Double(), nullable=True),
        sa.Column("target_fraction", sa.Double(), nullable=False),
        sa.Column("stop_fraction", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("close_requested", sa.String(length=32), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("side IN ('BUY', 'SELL')", name=op.f("ck_positions_side_known")),
        sa.CheckConstraint(
            "state IN ('ordered', 'open', 'closed', 'cancelled')", name=op.f("ck_positions_state_known")
        ),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["ai_training_samples.id"], name=op.f("fk_positions_sample_id_ai_training_samples")
        ),
        sa.ForeignKeyConstraint(["strategy"], ["strategies.name"], name=op.f("fk_positions_strategy_strategies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_positions")),
        sa.UniqueConstraint("sample_id", name=op.f("uq_positions_sample_id")),
    )
    op.create_index(
        "uq_positions_live",
        "positions",
        ["strategy", "symbol"],
        unique=True,
        sqlite_where=sa.text("state IN ('ordered', 'open')"),
        postgresql_where=sa.text("state IN ('ordered', 'open')"),
    )
    op.create_table(
        "trade_logs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("decision_id", sa.String(length=128), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("quantity", sa.Double(), nullable=True),
        sa.Column("entry_price", sa.Double(), nullable=False),
        sa.Column("entry_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("exit_price", sa.Double(), nullable=False),
        sa.Column("exit_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("exit_reason", sa.String(length=64), nullable=True),
        sa.Column("fees", sa.Double(), nullable=True),
        sa.Column("realized_pnl", sa.Double(), nullable=True),
        sa.Column("model_version", sa.String(length=32), nullable=True),
        sa.CheckConstraint("side IN ('BUY', 'SELL')", name=op.f("ck_trade_logs_side_known")),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["ai_training_samples.id"], name=op.f("fk_trade_logs_sample_id_ai_training_samples")
        ),
        sa.ForeignKeyConstraint(["strategy"], ["strategies.name"], name=op.f("fk_trade_logs_strategy_strategies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trade_logs")),
        sa.UniqueConstraint("sample_id", name=op.f("uq_trade_logs_sample_id")),
    )
    op.create_index("ix_trade_logs_strategy_exit_time", "trade_logs", ["strategy", "exit_time"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_trade_logs_strategy_exit_time", table_name="trade_logs")
    op.drop_table("trade_logs")
    op.drop_index(
        "uq_positions_live",
        table_name="positions",
        sqlite_where=sa.text("state IN ('ordered', 'open')"),
        postgresql_where=sa.text("state IN ('ordered', 'open')"),
    )
    op.drop_table("positions")
    op.drop_index("ix_forecasts_version_id", table_name="forecasts")
    op.drop_table("forecasts")
    op.drop_table("fills")
    op.drop_index("ix_activations_strategy_id", table_name="activations")
    op.drop_table("activations")
    op.drop_index(
        "ix_ai_training_samples_unsettled",
        table_name="ai_training_samples",
        sqlite_where=sa.text("forward_return IS NULL AND forward_return_source IS NULL"),
        postgresql_where=sa.text("forward_return IS NULL AND forward_return_source IS NULL"),
    )
    op.drop_index("ix_ai_training_samples_strategy_timestamp", table_name="ai_training_samples")
    op.drop_index("ix_ai_training_samples_strategy_symbol_timestamp", table_name="ai_training_samples")
    op.drop_index("ix_ai_training_samples_strategy_outcome_known_id", table_name="ai_training_samples")
    op.drop_index("ix_ai_training_samples_model_version", table_name="ai_training_samples")
    op.drop_table("ai_training_samples")
    op.drop_index(
        "uq_ai_model_versions_active",
        table_name="ai_model_versions",
        sqlite_where=sa.text("is_active"),
        postgresql_where=sa.text("is_active"),
    )
    op.drop_index("ix_ai_model_versions_strategy_trained_at", table_name="ai_model_versions")
    op.drop_table("ai_model_versions")
    op.drop_table("strategies")
    op.drop_table("leases")
    op.drop_index(
        "uq_job_runs_running",
        table_name="job_runs",
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.drop_table("job_runs")
    op.drop_table("feeds")
    op.drop_table("feature_schemas")
    op.drop_table("candles")
    op.drop_table("audit")
    op.drop_index(
        "uq_alarms_open",
        table_name="alarms",
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.drop_table("alarms")
