"""Runs the migrations on the configured database, or on the connection that the caller hands over."""

from alembic import context
from alembic.util import CommandError
from sqlalchemy.engine import Connection

from backend.database import open_for_migrations
from backend.models import Base
from backend.settings import database_url_in_force


def run(connection: Connection) -> None:
    """Migrate inside one transaction; SQLite's tables are rebuilt where it cannot alter them."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    if connection.dialect.name == "sqlite":
        refuse_dangling(connection)


def refuse_dangling(connection: Connection) -> None:
    """Take everything back where a rebuilt table left a row that points nowhere: nothing watched while it was made."""
    found = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if found is not None:
        raise CommandError(f"row {found[1]} of {found[0]} points to no row of {found[2]} after the migration")


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = open_for_migrations(database_url_in_force())
    with engine.connect() as own, own.begin():
        run(own)
    engine.dispose()
