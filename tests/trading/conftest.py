"""Desks to trade at, and the files they trade on. What many tests only look at is traded once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from backend.database import Database
from backend.models import Base
from backend.settings import load_settings
from tests.trading.desk import Desk, random_bars, with_model, write_file
from tests.trading.live_desk import FakeExchange, LiveDesk

OpenDesk = Callable[..., Desk]


@contextmanager
def desks_in(folder: Path) -> Iterator[OpenDesk]:
    """Opens desks, each on a database of its own, over the files in ``folder/files``."""
    opened: list[Database] = []
    environ = {"QT_ADMIN_TOKEN": "an-admin-token-for-tests-only", "QT_MARKET": "off"}
    settings = replace(
        load_settings(environ=environ, env_file=None), market="replay", strategy="replay", exploration_rate=0.05
    )

    def open_desk(**changes: Any) -> Desk:
        place = folder / f"desk{len(opened)}"
        place.mkdir()
        given = {"database_url": f"sqlite:///{place / 'quantum_trader.db'}", "model_dir": place / "models", **changes}
        database = Database(given["database_url"])
        event.listen(database.engine, "connect", _careless)
        Base.metadata.create_all(database.engine)
        opened.append(database)
        return Desk(folder / "files", replace(settings, **given), database)

    yield open_desk
    for database in opened:
        database.close()


def _careless(connection: Any, _record: object) -> None:
    """A power cut may lose what a test wrote; waiting for the disk is most of its time."""
    connection.execute("PRAGMA synchronous=OFF")


def write_files(folder: Path) -> Path:
    """Two symbols of 620 candles: one with gaps, one listed 60 candles later."""
    write_file(folder, "AAAUSDT", random_bars(620, 1), missing=frozenset({511, 530, 531, 532, 560}))
    write_file(folder, "BBBUSDT", random_bars(560, 2), first=60)
    return folder


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[OpenDesk]:
    """Opens desks of the test's own."""
    with desks_in(tmp_path) as open_desk:
        yield open_desk


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Candle files of the test's own."""
    return write_files(tmp_path / "files")


@pytest.fixture(scope="session")
def cold_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The files traded to their end by the cold-start rule. To look at only."""
    folder = tmp_path_factory.mktemp("cold")
    write_files(folder / "files")
    with desks_in(folder) as open_desk:
        (desk := open_desk()).run()
        yield desk


@pytest.fixture(scope="session")
def model_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The files traded to their end by a scripted model. To look at only."""
    folder = tmp_path_factory.mktemp("model")
    write_files(folder / "files")
    with desks_in(folder) as open_desk:
        desk = open_desk()
        desk.run(serving=with_model(desk))
        yield desk


@pytest.fixture
def live(open_desk: OpenDesk) -> LiveDesk:
    """A desk on an exchange out of memory, with minute candles and two symbols."""
    desk = open_desk(
        market="binance",
        strategy="default",
        symbols=("AAAUSDT", "BBBUSDT"),
        timeframe="1m",
        market_speed=0.0,
        exploration_rate=0.0,
        require_edge=False,
        sides="long",
    )
    return LiveDesk(desk, FakeExchange())
