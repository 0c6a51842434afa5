"""Options of domain methods."""

from __future__ import annotations

import pytest

from histosge.domains import build_method
from histosge.errors import UsageError


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("kmeans", {"starts": 0}),
        ("leiden", {"resolution": 0.0}),
        ("stagate", {"radius": 0.0}),
        ("stagate", {"width": 0}),
        ("stagate", {"epochs": 0}),
        ("stmask", {"masked": 1.0}),
        ("stmask", {"width": 0}),
    ],
)
def test_impossible_options_are_refused(name: str, options: dict[str, object]) -> None:
    """Options that cannot work are refused before anything is computed."""
    with pytest.raises(UsageError):
        build_method(name, **options)
