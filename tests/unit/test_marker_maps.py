"""Maps of marker genes and section overviews are complete figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histosge.datasets import synthetic
from histosge.errors import UsageError
from histosge.figures.marker_maps import marker_maps
from histosge.figures.png import save_png
from histosge.figures.section_overview import section_overview
from histosge.images.tissue import TissueMask
from histosge.prediction.prediction import Prediction
from histosge.section.locations import upsampled

SECTION = synthetic(columns=12, rows=12, genes=12).section
GENES = SECTION.genes[:2].tolist()


def prediction() -> Prediction:
    locations = upsampled(SECTION, 4)
    mean = np.random.default_rng(0).gamma(2.0, 1.0, (len(locations), 2)).astype(np.float32)
    return Prediction(locations, SECTION.genes[:2], mean)


def test_figures_are_written_without_empty_margins(tmp_path: Path) -> None:
    """The panels fill the file; titles and bars are inside."""
    path = save_png(marker_maps(SECTION, [("×4", prediction())], GENES), tmp_path / "m.png")
    mask = TissueMask.from_points(SECTION.spots, 100.0)
    save_png(section_overview(SECTION, mask=mask), tmp_path / "s.png")
    for name in (path, tmp_path / "s.png"):
        ink = np.asarray(Image.open(name).convert("L")) < 250
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        assert rows[0] < 30
        assert columns[0] < 30
        assert ink.shape[0] - rows[-1] < 30
        assert ink.shape[1] - columns[-1] < 30


def test_a_section_without_counts_has_no_measured_column() -> None:
    """Its figure says that it is predicted from the image, and which sections the fit is of."""
    section = replace(SECTION, counts=SECTION.counts * 0)
    figure = marker_maps(section, [("×4", prediction())], GENES, auxiliary=["A", "B"])
    titles = [axes.get_title() for axes in figure.axes]
    assert not any("measured" in title for title in titles)
    assert "from the H&E image alone" in figure.get_suptitle()
    assert "A, B" in figure.get_suptitle()
    (axes,) = section_overview(section).axes
    assert "no counts" in axes.get_title()


@pytest.mark.parametrize(("genes", "message"), [([], "got none"), (["ZONE99"], "Did you mean ZONE")])
def test_unknown_genes_are_not_drawn(genes: list[str], message: str) -> None:
    """No gene and an unknown gene are refused, with near misses."""
    with pytest.raises(UsageError, match=message):
        marker_maps(SECTION, [("×4", prediction())], genes)
