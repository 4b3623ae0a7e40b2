"""Shadows by themselves or asked for, intervals, what a person said of quarantined rows, prices before slippage.

Revises: 0002
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("ai_training_samples", sa.Column("counted_cost", sa.Double(), nullable=True))
    op.add_column("ai_model_versions", sa.Column("learned_until", sa.DateTime(timezone=True), nullable=True))
    _fill_learned_until()
    op.add_column("ai_training_samples", sa.Column("volatility", sa.Double(), nullable=True))
    op.add_column(
        "ai_training_samples",
        sa.Column(
            "quarantine_decision",
            sa.String(length=8),
            sa.CheckConstraint(
                "quarantine_decision IN ('released', 'dropped')",
                name=op.f("ck_ai_training_samples_quarantine_decision_known"),
            ),
            nullable=True,
        ),
    )
    op.add_column("ai_training_samples", sa.Column("released_reasons", sa.String(length=96), nullable=True))
    op.create_index(
        "ix_ai_training_samples_quarantined",
        "ai_training_samples",
        ["strategy", "quarantine_reason", "timestamp"],
        sqlite_where=sa.text("quarantine_reason IS NOT NULL"),
        postgresql_where=sa.text("quarantine_reason IS NOT NULL"),
    )
    op.create_index(
        "ix_ai_training_samples_quarantine_decision",
        "ai_training_samples",
        ["strategy", "quarantine_decision", "timestamp"],
        sqlite_where=sa.text("quarantine_decision IS NOT NULL"),
        postgresql_where=sa.text("quarantine_decision IS NOT NULL"),
    )
    op.create_index(
        "ix_ai_training_samples_left",
        "ai_training_samples",
        ["strategy", "symbol", "exit_time", "market_return"],
        sqlite_where=sa.text("exit_time IS NOT NULL"),
        postgresql_where=sa.text("exit_time IS NOT NULL"),
    )
    op.add_column(
        "ai_model_versions",
        sa.Column(
            "shadow_origin",
            sa.String(length=12),
            sa.CheckConstraint(
                "shadow_origin IN ('automatic', 'asked')", name=op.f("ck_ai_model_versions_shadow_origin_known")
            ),
            nullable=True,
        ),
    )
    op.add_column("fills", sa.Column("reference_price", sa.Double(), nullable=True))
    op.create_table(
        "interval_states",
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("residuals", sa.LargeBinary(), nullable=False),
        sa.Column("matured", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["strategy"], ["strategies.name"], name=op.f("fk_interval_states_strategy_strategies")),
        sa.PrimaryKeyConstraint("strategy", name=op.f("pk_interval_states")),
    )
    op.create_table(
        "symbol_volatilities",
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("level", sa.Double(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("miss_rate", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["strategy"], ["strategies.name"], name=op.f("fk_symbol_volatilities_strategy_strategies")
        ),
        sa.PrimaryKeyConstraint("strategy", "symbol", name=op.f("pk_symbol_volatilities")),
    )


def _fill_learned_until() -> None:
    """What a version learned from stands in its lineage; those from before that was recorded keep null."""
    versions = sa.table(
        "ai_model_versions",
        sa.column("id", sa.Integer()),
        sa.column("lineage", sa.JSON()),
        sa.column("learned_until", sa.DateTime(timezone=True)),
    )
    connection = op.get_bind()
    for version_id, lineage in connection.execute(sa.select(versions.c.id, versions.c.lineage)).all():
        known_until = (lineage or {}).get("outcomes_known_until")
        if known_until is not None:
            told = datetime.fromisoformat(known_until)
            connection.execute(sa.update(versions).where(versions.c.id == version_id).values(learned_until=told))


def downgrade() -> None:
    op.drop_table("symbol_volatilities")
    op.drop_table("interval_states")
    with op.batch_alter_table("fills", schema=None) as batch_op:
        batch_op.drop_column("reference_price")
    with op.batch_alter_table("ai_model_versions", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_ai_model_versions_shadow_origin_known"), type_="check")
        batch_op.drop_column("shadow_origin")
        batch_op.drop_column("learned_until")
    op.drop_index("ix_ai_training_samples_left", table_name="ai_training_samples")
    op.drop_index("ix_ai_training_samples_quarantine_decision", table_name="ai_training_samples")
    op.drop_index("ix_ai_training_samples_quarantined", table_name="ai_training_samples")
    with op.batch_alter_table("ai_training_samples", schema=None) as batch_op:
        batch_op.drop_constraint(op.f("ck_ai_training_samples_quarantine_decision_known"), type_="check")
        batch_op.drop_column("released_reasons")
        batch_op.drop_column("quarantine_decision")
        batch_op.drop_column("volatility")
        batch_op.drop_column("counted_cost")
