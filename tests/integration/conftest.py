"""Fixtures of the tests that open a report in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from opened_report import Opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The distribution's Chromium."""
    from opened_report import CHROMIUM, FLAGS

    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium; install the distribution's, or set HISTOSGE_CHROMIUM")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def report_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with domains and a report."""
    from opened_report import with_domains

    return with_domains(tmp_path_factory.mktemp("report") / "run")


@pytest.fixture
def report(browser: Any, report_folder: Path) -> Iterator[Opened]:
    """The report, opened from disk."""
    from opened_report import opened

    found = opened(browser, report_folder / "report.html")
    yield found
    found.page.context.close()
