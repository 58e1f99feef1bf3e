"""Schema 1: interruptions and sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision: str | None = None


def _found(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False, index=True) for name in names]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "meta", sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String, nullable=False)
    )
    op.create_table(
        "interruption",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        *_found("session", "conversation", "user", "model", "policy", "check"),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("correct", sa.String, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.String, index=True),
        *_found("review"),
        sa.Column("prompts", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_interruption_at_id", "interruption", ["at", "id"])
    op.create_table(
        "session",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("started", sa.Float, nullable=False),
        *_found("conversation", "user", "model", "policy"),
        sa.Column("flagged", sa.Boolean, nullable=False),
        sa.Column("interruptions", sa.Integer, nullable=False),
        sa.Column("unscanned", sa.Integer, nullable=False),
        sa.Column("prompts", sa.String, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("ix_session_started_id", "session", ["started", "id"])
    op.create_index("ix_session_policy_flagged", "session", ["policy", "flagged"])
    op.execute("INSERT INTO meta (key, value) VALUES ('schema', '1')")
