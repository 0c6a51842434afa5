"""Maps of domains: colours and bars."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.figures.agreement_bars import agreement_bars
from histosge.figures.domain_maps import Panel, matched_numbers


def test_colours_follow_overlap_not_numbers() -> None:
    """Renamed domains keep the colour of the domain they overlap most with; additional ones get new colours."""
    xy = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0)), axis=-1).reshape(-1, 2)
    model = Panel("a", xy, np.array(["x"] * 3 + ["y"] * 3 + [""] * 3))
    colours = matched_numbers(Panel("b", xy, np.array(["1"] * 3 + ["0"] * 3 + ["2"] * 3)), model)
    assert (colours["1"], colours["0"]) == (0, 1)
    assert colours["2"] not in (0, 1)
    figure = agreement_bars({"kmeans": {"raw": [0.3, 0.4]}, "stagate": {"raw": [0.5]}})
    assert [patch.get_height() for patch in figure.axes[0].patches] == pytest.approx([0.35, 0.5])
