"""tokens, idempotency keys, approval of runs, audit as a chain of hashes

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_GENESIS = "0" * 64
_POOL_JOBS = ("roll", "drain", "enable")


def upgrade() -> None:
    _runs()
    _tokens()
    _idempotency()
    _audit()


def _runs() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("scope", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("asker", sa.String(), nullable=True))
        batch_op.add_column(
            sa.Column("needs_approval", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(sa.Column("approval", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("approval_role", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("approved_by", sa.String(), nullable=True))
        batch_op.create_index(batch_op.f("ix_runs_scope"), ["scope"], unique=False)
    runs = sa.table("runs", sa.column("job"), sa.column("target"), sa.column("scope"))
    op.execute(
        runs.update()
        .where(runs.c.job.in_(_POOL_JOBS))
        .values(scope=sa.literal("pool:").op("||")(runs.c.target))
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=True),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_tokens_hash", "tokens", ["hash"], unique=True)
    op.create_index(
        "ix_tokens_name_in_use",
        "tokens",
        ["name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("owner", "key"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)


def _audit() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.rename_table("audit", "audit_before")
    for index in ("ix_audit_at", "ix_audit_run_id"):
        op.drop_index(index, table_name="audit_before")
    new = op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("prev_hash", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="audit_chain_pkey"),
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    op.create_index("ix_audit_run_id", "audit", ["run_id"], unique=False)
    last_id, last = _chain(new)
    op.execute(
        sa.text("INSERT INTO audit_head (id, last_id, hash) VALUES (1, :id, :hash)").bindparams(
            id=last_id, hash=last
        )
    )
    op.drop_table("audit_before")
    _append_only()


def _chain(new: sa.Table) -> tuple[int, str]:
    """Copy the lines there are, as a chain without gaps."""
    connection = op.get_bind()
    fields = ("at", "actor", "action", "target", "run_id", "outcome", "detail")
    number, last = 0, _GENESIS
    lines = connection.execute(
        sa.text(f"SELECT {', '.join(fields)} FROM audit_before ORDER BY id")  # noqa: S608
    ).all()
    for line in lines:
        number += 1
        row = {"id": number, **dict(zip(fields, line, strict=True)), "prev_hash": last}
        text = json.dumps(row, sort_keys=True, separators=(",", ":"))
        last = hashlib.sha256(text.encode("ascii")).hexdigest()
        connection.execute(new.insert().values(**row, hash=last))
    return number, last


def _append_only() -> None:
    """Let the database itself refuse to change or delete a line."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
        )
        return
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_append_only_{what.lower()} BEFORE {what} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
        )


def downgrade() -> None:
    raise NotImplementedError("the audit is append-only: restore a backup instead")
