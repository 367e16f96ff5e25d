"""The upgrade of a database to the schema that this version knows."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from auth.errors import SchemaTooNew

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection) -> None:
    """Runs the missing revisions in the transaction of `connection`, which the caller has begun and commits.

    Nothing is read from an alembic.ini and logging is left as it is. Raises: SchemaTooNew.
    """
    config = Config()
    # ConfigParser reads % as the beginning of a reference
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    found = MigrationContext.configure(connection).get_current_heads()
    unknown = [revision for revision in found if revision not in known]
    if unknown:
        raise SchemaTooNew(", ".join(unknown), scripts.get_current_head() or "none")
    command.upgrade(config, "head")
