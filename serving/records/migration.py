"""Bringing a database to the tables that this version of the code has."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from serving.records.database import DatabaseError

FOLDER = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Create or change the tables, in one transaction; does nothing where they are current.

    Raises:
        DatabaseError: a newer version of the service has changed them.
    """
    scripts = ScriptDirectory.from_config(_config())
    newest = scripts.get_current_head()
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found == newest:
        return
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise DatabaseError(
            f"The database is at revision {found}, which this version does not know; the newest "
            f"that it knows is {newest}. Install the version that last used it, or restore a "
            "backup."
        )
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return config
