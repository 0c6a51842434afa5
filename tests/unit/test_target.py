"""A target names exactly one kind of locations, with valid values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from histosge.datasets import synthetic
from histosge.errors import UsageError
from histosge.section.target import Target, locate, tissue_of

SECTION = synthetic(columns=8, rows=8, genes=6).section


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "exactly one of `upsample`, `spacing_um` and `cells`, got none"),
        ({"upsample": 2, "spacing_um": 25.0}, "got `upsample` and `spacing_um`"),
        ({"upsample": 2, "regions": Path("r.geojson")}, "`regions` needs `spacing_um`"),
        (
            {"regions": "r.geojson"},
            "`regions` needs `spacing_um`.*try 25. There is no file 'r.geojson'; check the path",
        ),
        ({"regions": __file__}, "`regions` needs `spacing_um`.*try 25.$"),
        ({"spacing_um": 0.0}, "`spacing_um` must be positive"),
        ({"upsample": 9}, "`upsample` from 1 to 8"),
        ({"upsample": 4, "boundary": "all"}, "`boundary` translate, symmetric or inner"),
        ({"upsample": 4, "table": "best"}, "`table` among maximin, paper_literal"),
    ],
)
def test_invalid_targets_are_refused(values: dict[str, Any], message: str) -> None:
    """Each message names the parameter."""
    with pytest.raises(UsageError, match=message):
        Target(**values)


def test_a_missing_file_of_cells_is_answered_with_what_can_be_given() -> None:
    """The message has the path, and the commands that list formats of cells and segmenters."""
    with pytest.raises(
        UsageError, match=r"found nothing at 'nope.geojson'. Check the path; .*list cell-sources"
    ):
        locate(SECTION, Target(cells="nope.geojson"), tissue_of(SECTION))


def test_labels_name_the_locations() -> None:
    """Labels are short; paths may be text."""
    assert [Target(upsample=4).label, Target(spacing_um=25).label] == ["×4", "every 25 µm"]
    assert Target(cells="cells.csv").cells == Path("cells.csv")
    assert Target(cells=Path("cells.csv")).label == "cells"


@pytest.mark.parametrize("target", [Target(upsample=1), Target(upsample=4), Target(spacing_um=50.0)])
def test_locations_of_a_target_lie_on_the_section(target: Target) -> None:
    """Every kind of target gives locations on the image."""
    assert SECTION.slide is not None
    assert SECTION.slide.contains(locate(SECTION, target, tissue_of(SECTION)).xy).mean() > 0.95
