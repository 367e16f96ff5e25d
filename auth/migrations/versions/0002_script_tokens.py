"""Script tokens: long-lived ones, which can be listed and revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "script_tokens",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("token_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(16), nullable=False),
        sa.Column("name", sa.String(64), nullable=True),
        sa.Column("scopes", sa.String(255), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_script_tokens"),
        sa.UniqueConstraint("token_id", name="uq_script_tokens_token_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_script_tokens_user_id", "script_tokens", ["user_id"])
