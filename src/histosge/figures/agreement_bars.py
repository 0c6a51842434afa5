"""Bars of the agreement between domains and an annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .domain_maps import DOMAIN_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["agreement_bars"]

_DPI = 150


def agreement_bars(table: Mapping[str, Mapping[str, Sequence[float]]], *, ax: Axes | None = None) -> Figure:
    """Draw the adjusted Rand index as bars: one group a clustering method, one bar a source of the data.

    Parameters
    ----------
    table
        ``table[method][source]`` holds one value a section and seed; bars are means, whiskers standard deviations.
    ax
        Axes to draw on; ``None`` makes a figure.
    """
    sources = list(dict.fromkeys(source for values in table.values() for source in values))
    axes = _new_axes(1.2 + 0.32 * len(sources) * len(table)) if ax is None else ax
    width = 0.8 / len(sources)
    for rank, source in enumerate(sources):
        values = [np.asarray(table[method].get(source, [np.nan]), dtype=float) for method in table]
        # a single value has no standard deviation: no whisker
        sd = [value.std(ddof=1) if len(value) > 1 else np.nan for value in values]
        centre = np.arange(len(table)) + (rank - (len(sources) - 1) / 2) * width
        colour = DOMAIN_COLOURS[rank % len(DOMAIN_COLOURS)]
        mean = [value.mean() for value in values]
        axes.bar(centre, mean, width, yerr=sd, color=colour, label=source, capsize=2)
    axes.set_xticks(np.arange(len(table)), list(table))
    axes.set_ylabel("ARI with the annotation (mean, sd)")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return axes.figure  # type: ignore[return-value]


def _new_axes(width_in: float) -> Axes:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, 3.6), dpi=_DPI, layout="constrained").subplots()
