"""The upgrade of a database to the schema that this version knows."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from auth.errors import SchemaTooNew

_SCRIPTS = Path(__file__).parent / "migrations"


def is_current(connection: Connection) -> bool:
    """Whether no revision is missing. Raises: SchemaTooNew."""
    scripts = ScriptDirectory.from_config(_config(connection))
    return set(_found(scripts, connection)) == set(scripts.get_heads())


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Runs the missing revisions, up to `revision`, in the transaction of `connection`, which the caller has begun
    and commits.

    Nothing is read from an alembic.ini and logging is left as it is. Raises: SchemaTooNew.
    """
    config = _config(connection)
    _found(ScriptDirectory.from_config(config), connection)
    command.upgrade(config, revision)


def _config(connection: Connection) -> Config:
    config = Config()
    # ConfigParser reads % as the beginning of a reference
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    return config


def _found(scripts: ScriptDirectory, connection: Connection) -> tuple[str, ...]:
    """The revisions that the database has. Raises: SchemaTooNew."""
    known = {script.revision for script in scripts.walk_revisions()}
    found = MigrationContext.configure(connection).get_current_heads()
    unknown = [revision for revision in found if revision not in known]
    if unknown:
        raise SchemaTooNew(", ".join(unknown), scripts.get_current_head() or "none")
    return found
