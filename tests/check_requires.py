"""A test whose marker ``CHECK_REQUIRES`` names must run: CI would lose a skipped one unseen, so it is a failure."""

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a required test into a failure that repeats the skip's reason."""
    report = yield
    required = {name.strip() for name in os.environ.get("CHECK_REQUIRES", "").split(",")}
    carried = sorted(mark.name for mark in item.iter_markers() if mark.name in required)
    if report.skipped and carried and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{carried[0]} is required here (CHECK_REQUIRES), but the test skipped: {reason}"
    return report
