"""Alembic's environment: runs the revisions on the connection, and in the transaction, of auth/upgrade.py."""

from alembic import context
from sqlalchemy import Connection

from auth.schema import metadata

_connection: Connection = context.config.attributes["connection"]
context.configure(connection=_connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
