"""Runs the migrations on the configured database, or on the connection that the caller hands over."""

from alembic import context
from sqlalchemy.engine import Connection

from backend.database import open_engine
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


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    engine = open_engine(database_url_in_force())
    with engine.connect() as own, own.begin():
        run(own)
    engine.dispose()
