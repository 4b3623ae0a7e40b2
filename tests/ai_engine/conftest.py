"""Rows with a known signal, or with none."""

from collections.abc import Callable

import numpy as np
import pytest

from ai_engine.dataset import Rows
from benchmarks.worlds import World, draw, join, reorder


@pytest.fixture(scope="session")
def world() -> type[World]:
    """The description of a world, to be filled in."""
    return World


@pytest.fixture(scope="session")
def draw_rows() -> Callable[[World], Rows]:
    """Draws the rows of a world."""
    return draw


@pytest.fixture(scope="session")
def reorder_rows() -> Callable[[Rows, np.ndarray], Rows]:
    """Puts rows into another order."""
    return reorder


@pytest.fixture(scope="session")
def join_rows() -> Callable[..., Rows]:
    """Puts several batches of rows together."""
    return join
