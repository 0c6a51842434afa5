"""Numbers of domains, and standardised expression."""

from __future__ import annotations

import numpy as np

from histosge.domains.labels import numbered_by_size
from histosge.domains.principal_components import standardised


def test_domains_are_numbered_by_size() -> None:
    """The largest domain is 0; of equally large ones the first in the order of rows comes first."""
    assert numbered_by_size(np.array([5, 5, 9, 2, 2, 2, 7])).tolist() == [1, 1, 2, 0, 0, 0, 3]


def test_constant_columns_are_not_standardised() -> None:
    """Columns that vary get mean 0 and standard deviation 1; constant ones are left out."""
    assert standardised(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist() == [[-1.0], [1.0]]
