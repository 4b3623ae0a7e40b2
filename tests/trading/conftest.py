"""Desks to trade at, and the files they trade on."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.database import Database
from backend.models import Base
from backend.settings import Settings
from tests.trading.desk import Desk, random_bars, write_file


@pytest.fixture
def trader_settings(settings: Settings) -> Settings:
    """Settings of a trader that replays files, and explores often enough to be seen."""
    return replace(settings, market="replay", strategy="replay", exploration_rate=0.05)


@pytest.fixture
def open_desk(tmp_path: Path, trader_settings: Settings) -> Iterator[Callable[..., Desk]]:
    """Opens desks, each on a database of its own, over the files in one folder."""
    opened: list[Database] = []

    def open_desk(**changes: Any) -> Desk:
        url = f"sqlite:///{tmp_path / f'desk{len(opened)}.db'}"
        database = Database(url)
        Base.metadata.create_all(database.engine)
        opened.append(database)
        return Desk(tmp_path / "files", replace(trader_settings, database_url=url, **changes), database)

    yield open_desk
    for database in opened:
        database.close()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two symbols of 620 candles: one with gaps, one listed 60 candles later."""
    folder = tmp_path / "files"
    write_file(folder, "AAAUSDT", random_bars(620, 1), missing=frozenset({511, 530, 531, 532, 560}))
    write_file(folder, "BBBUSDT", random_bars(560, 2), first=60)
    return folder
