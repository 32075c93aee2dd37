"""Bringing a database to the tables that this version of the code has."""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, select

from serving.records.database import DatabaseError, writing

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x5A5A5A
"""Advisory lock of PostgreSQL under which tables are made or changed."""


@dataclass(frozen=True, slots=True)
class Migrations:
    """Migrations that follow one another."""

    folder: Path
    version_table: str
    """Where a database says how far it has come."""

    def scripts(self) -> ScriptDirectory:
        """Return the migrations as Alembic knows them."""
        return ScriptDirectory.from_config(self.config())

    def config(self) -> Config:
        """Return Alembic's configuration."""
        config = Config()
        # A percent sign of a path would begin an interpolation.
        config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
        config.set_main_option("version_locations", str(self.folder).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        config.attributes["version_table"] = self.version_table
        return config

    def revision(self, connection: Connection) -> str | None:
        """Return how far the database has come, None where it has none of the tables."""
        options = {"version_table": self.version_table}
        return MigrationContext.configure(connection, opts=options).get_current_revision()


RECORDS = Migrations(_FOLDER / "versions", "alembic_version")


def upgrade(engine: Engine, migrations: Migrations = RECORDS) -> bool:
    """Create or change the tables, in one transaction; does nothing where they are current.

    Several processes may call it at once: one does it, the others wait. Returns whether it was this
    call that changed them.

    Raises:
        DatabaseError: a newer version of the service has changed them.
    """
    scripts = migrations.scripts()
    newest = scripts.get_current_head()
    with engine.connect() as connection:
        found = migrations.revision(connection)
    if found == newest:
        return False
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise DatabaseError(
            f"The database is at revision {found}, which this version does not know; the newest "
            f"that it knows is {newest}. Install the version that last used it, or restore a "
            "backup."
        )
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        if migrations.revision(connection) == newest:
            return False
        config = migrations.config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return True
