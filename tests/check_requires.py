"""A test whose marker ``CHECK_REQUIRES`` names must run: CI would lose a skipped one unseen, so it is a failure."""

import os
from collections.abc import Generator

import pytest
from hypothesis import settings


def pytest_configure() -> None:
    """Let properties that ask for no number of examples try fewer, unless the long proofs run too."""
    if "slow" not in _required():
        settings.register_profile("quick", max_examples=30)
        settings.load_profile("quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long proofs to ``make check``, so that ``make test`` stays within five minutes on two cores."""
    if "slow" not in _required():
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="a proof of many seconds: make check runs it"))


def _required() -> set[str]:
    return {name.strip() for name in os.environ.get("CHECK_REQUIRES", "").split(",")}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a required test into a failure that repeats the skip's reason."""
    report = yield
    carried = sorted(mark.name for mark in item.iter_markers() if mark.name in _required() - {"slow"})
    if report.skipped and carried and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{carried[0]} is required here (CHECK_REQUIRES), but the test skipped: {reason}"
    return report
