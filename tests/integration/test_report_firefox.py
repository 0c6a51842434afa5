"""The report in Firefox, on a large and on a phone's screen, shows what it shows in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from firefox import FIREFOX, Firefox
from opened_report import PREDICTION, opened

pytestmark = pytest.mark.slow

WIDE, PHONE = (1500, 1000), (390, 844)


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """The distribution's Firefox."""
    pytest.importorskip("aiohttp")
    if FIREFOX is None:
        pytest.skip("no Firefox; apt-get install firefox-esr, or set HISTOSGE_FIREFOX")
    with Firefox(tmp_path_factory.mktemp("firefox")) as running:
        yield running


def painted(firefox: Firefox) -> np.ndarray:
    """The pixels of the map, without the tissue below, red, green, blue and opacity."""
    pixels = firefox.evaluate(
        "(c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data))"
        "(document.querySelector('#layer-main canvas'))"
    )
    return np.array(pixels, dtype=np.uint8).reshape(-1, 4)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1500", "390"])
def test_a_gene_is_searched_and_drawn_in_firefox(
    firefox: Firefox, report_folder: Path, size: tuple[int, int]
) -> None:
    """Typing a gene's name and ↵ shows its map, without a message in the console; the window has no scroll bar."""
    firefox.open(report_folder / "report.html", *size)
    firefox.evaluate("histosge.update({ row: histosge.genes.indexOf('ZONE1') })")
    firefox.until("document.querySelector('#gene-name').textContent === 'ZONE1'")
    before = painted(firefox)
    assert (before[:, 3] > 0).mean() > 0.05
    firefox.click("#search")
    firefox.type("tumour1\ue007")
    firefox.until("document.querySelector('#gene-name').textContent === 'TUMOUR1'")
    after = painted(firefox)
    assert (before != after).any(axis=1).mean() > 0.02
    # many colours: the map varies
    assert len(np.unique(after[after[:, 3] > 0], axis=0)) > 50
    seen = firefox.screenshot()
    assert seen.shape[:2] == size[::-1]
    assert firefox.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert firefox.messages == []


def test_both_browsers_show_the_same_values(firefox: Firefox, browser: Any, report_folder: Path) -> None:
    """The values that the page computed of a gene, the ends of its legend and its words are those of Chromium."""
    questions = (
        "Array.from(histosge.now.predicted)",
        "Array.from(document.querySelectorAll('#legend-main .ticks span'), e => e.textContent)",
        "document.querySelector('#accuracy-text').textContent",
        "document.querySelector('#scale-text').textContent",
    )
    chromium = opened(browser, report_folder / "report.html", viewport={"width": 1500, "height": 1000})
    chromium.choose("STROMA1")
    firefox.open(report_folder / "report.html", *WIDE)
    firefox.evaluate("histosge.update({ row: histosge.genes.indexOf('STROMA1') })")
    firefox.until("document.querySelector('#gene-name').textContent === 'STROMA1'")
    values, *words = (firefox.evaluate(question) for question in questions)
    others, *other_words = (chromium.page.evaluate(question) for question in questions)
    chromium.page.context.close()
    assert len(values) == len(PREDICTION.locations)
    assert np.allclose(values, others)
    assert words == other_words
