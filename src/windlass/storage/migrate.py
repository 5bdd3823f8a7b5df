"""Brings a database's tables up to date. Alembic is imported only where there is something to do."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from windlass.errors import StorageError

if TYPE_CHECKING:
    from windlass.storage.database import Database

HEAD = "0001"  # the newest file in migrations/versions
_LOCK = 7309947  # of PostgreSQL: any number that nobody else takes

_log = logging.getLogger(__name__)


def migrate(database: "Database") -> None:
    """Make the tables, or bring them up to date; several processes may ask at once.

    Raises StorageError for tables that a newer Windlass made.
    """
    with database.reading() as connection:
        if _revision(connection) == HEAD:
            return
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its own insides
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%")
    )
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.writing() as connection:
        if not database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found = _revision(connection)
        if found is not None and found not in known:
            raise StorageError(
                f"The database's tables are of step {found}, which a newer Windlass made; this one knows {HEAD}."
                " Install that version here as well."
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    _log.info("tables brought up to date", extra={"step": HEAD})


def _revision(connection: Connection) -> str | None:
    """The step that the tables are at; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
