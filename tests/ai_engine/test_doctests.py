"""Every example in the engine's docstrings runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest

import ai_engine

MODULES = sorted(module.name for module in pkgutil.walk_packages(ai_engine.__path__, "ai_engine."))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))

    assert results.failed == 0


def test_there_are_examples_to_run() -> None:
    attempted = sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES)

    assert attempted >= 15
