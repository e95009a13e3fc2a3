"""an index that counts and finds a run's lanes without reading them

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_lanes_run_status", table_name="lanes")
    op.create_index(
        "ix_lanes_run_standing",
        "lanes",
        ["run_id", "gate", "status", "changed", "position"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("ix_lanes_run_standing", table_name="lanes")
    op.create_index("ix_lanes_run_status", "lanes", ["run_id", "status"], unique=False)
