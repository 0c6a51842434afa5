"""Points check themselves once."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.errors import DataError, UsageError
from histosge.geometry.points import Points


def test_points_need_finite_positions_and_unique_ids() -> None:
    """Positions are finite, ids unique, and there is one id a position."""
    for xy, ids, words in [
        ([[0.0, np.nan]], ["a"], "finite"),
        ([[0.0, 0.0], [1.0, 1.0]], ["a", "a"], "unique"),
        ([[0.0, 0.0]], ["a", "b"], "n ids"),
    ]:
        with pytest.raises(DataError, match=words):
            Points(np.array(xy), np.array(ids))


def test_a_diameter_is_not_negative() -> None:
    """Zero is a mere point; a negative diameter is refused."""
    assert Points(np.zeros((1, 2)), np.array(["a"])).diameter_um == 0
    with pytest.raises(UsageError, match="0 or more"):
        Points(np.zeros((1, 2)), np.array(["a"]), -1.0)
