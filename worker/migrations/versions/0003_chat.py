"""messages in chat rooms, requests seen there, and how far events were read

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chat_messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("shown", sa.String(), nullable=False),
        sa.Column("shown_at", sa.Float(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("settled", sa.String(), nullable=True),
        sa.Column("settled_at", sa.Float(), nullable=True),
        sa.Column("gone", sa.Text(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("owned_until", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("network", "channel", "run_id"),
    )
    op.create_index("ix_chat_messages_run_id", "chat_messages", ["run_id"], unique=False)
    op.create_table(
        "chat_seen",
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("network", "key"),
    )
    op.create_index("ix_chat_seen_at", "chat_seen", ["at"], unique=False)
    op.create_table(
        "chat_cursors",
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("network"),
    )


def downgrade() -> None:
    for table in ("chat_cursors", "chat_seen", "chat_messages"):
        op.drop_table(table)
