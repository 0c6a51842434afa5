"""Image features of several windows around a location, as one row of columns."""

from __future__ import annotations

from histosge.errors import UsageError
from histosge.models.base import Needs

__all__ = ["window_features"]


def window_features(needs: Needs, columns: int) -> int:
    """Return how many of the columns belong to each window.

    Raises
    ------
    UsageError
        For columns that are not those of so many windows.

    Examples
    --------
    >>> from histosge.models.base import Windows
    >>> window_features(Needs(features=True, windows=(Windows.grid(3),)), 18)
    2
    """
    number = sum(windows.number for windows in needs.windows)
    if not columns or columns % number:
        raise UsageError(
            f"Expected image features of {number} windows around each location, side by side; got {columns} columns, "
            f"which {number} does not divide. Let the workflow compute them."
        )
    return columns // number
