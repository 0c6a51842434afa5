"""Captions under the panels of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["with_captions"]

_CAPTION = (
    "Moran's I is no measure of accuracy: it rises with any smoothing and with denser locations. Accuracy is the "
    "correlation r at test spots."
)


def with_captions(figure: Figure, lines: Sequence[Sequence[str]]) -> Figure:
    """Write ``lines[row][column]`` under the panels of a grid, and below all what the numbers mean.

    Parameters
    ----------
    figure
        Whose first axes are the panels, row by row; colour bars come after them.
    lines
        One text a panel.
    """
    flat = [line for row in lines for line in row]
    for panel, line in zip(figure.axes, flat, strict=False):
        panel.set_xlabel(line, fontsize=7.5)
    figure.supxlabel(_CAPTION, fontsize=7.5)
    return figure
