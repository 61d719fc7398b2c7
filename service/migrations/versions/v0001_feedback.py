"""Feedback and the review queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes both tables."""
    op.create_table(
        "feedback",
        sa.Column("id", _ID, sa.Identity(), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, index=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("topics", sa.JSON, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("model_topics", sa.JSON, nullable=False),
        sa.Column("model_scores", sa.JSON, nullable=False),
        sa.Column("comment", sa.Text),
        sa.Column("given_by", sa.String(64)),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sa.Column("reviewed_by", sa.String(64)),
        sa.Column("reviewed_at", sa.DateTime(timezone=True)),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "review_queue",
        sa.Column("id", _ID, sa.Identity(), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("model_topics", sa.JSON, nullable=False),
        sa.Column("model_scores", sa.JSON, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
        sa.Column("margin", sa.Float, nullable=False, index=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, index=True),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Removes both tables with what they hold."""
    op.drop_table("review_queue")
    op.drop_table("feedback")
