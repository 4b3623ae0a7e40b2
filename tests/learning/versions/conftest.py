"""An empty house, and one with versions in it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from backend.database import Database
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.settings import Settings
from tests.learning.versions.house import House, Planted


@pytest.fixture
def house(database: Database, settings: Settings, now: datetime) -> House:
    """An empty house."""
    store = ArtifactStore(settings.model_dir)
    return House(database, settings, store, Serving(store), now)


@pytest.fixture
def trained(house: House) -> Callable[[int], list[str]]:
    """Train that many versions, each on more rows than the one before; their ids."""

    def train(count: int, strategy: str = "bot") -> list[str]:
        ids = []
        for number in range(count):
            planted = Planted(strategy=strategy)
            house.plant(planted if number == 0 else replace(planted, first=100 + 20 * number, count=20))
            ids.append(str(house.train(strategy=strategy)["version_id"]))
        return ids

    return train
