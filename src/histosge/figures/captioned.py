"""Figures with a line of numbers under each panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["captioned"]

_WARNING = (
    "Smoothness (Moran's I) is no evidence: it rises with any smoothing and with nearer places. What a model knows is "
    "the held-out r."
)


def captioned(figure: Figure, lines: Sequence[Sequence[str]]) -> Figure:
    """Write ``lines[row][column]`` under the panels of a grid, and below all what they do not say.

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
    figure.supxlabel(_WARNING, fontsize=7.5)
    return figure
