"""How sure spatial domains are: a map of the confidence, and the criterion of their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from histosge._runtime.types import Array
from histosge.domains import Criterion

from .domain_maps import NO_DOMAIN, Backdrop, draw_backdrop, marker_area, view_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confidence_map", "criterion_chart"]

_DPI = 150
# half of all certainty is as little as two domains leave
_LOW = 0.5


def confidence_map(xy_um: Array, confidence: Array, image: Backdrop | None = None) -> Figure:
    """Draw the confidence of each location over the faded image.

    Parameters
    ----------
    xy_um
        Positions.
    confidence
        From 0 to 1; NaN where it is not stated.
    image
        The tissue.
    """
    from matplotlib.figure import Figure

    corners, height_in = view_of(xy_um)
    figure = Figure(figsize=(5.2, height_in + 0.4), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    draw_backdrop(axes, corners, image)
    stated, size = np.isfinite(confidence), marker_area(xy_um, corners)
    axes.scatter(*xy_um[~stated].T, s=size, c=NO_DOMAIN, linewidths=0, rasterized=True)
    dots = axes.scatter(
        *xy_um[stated].T,
        s=size,
        c=confidence[stated],
        cmap="cividis",
        vmin=min(_LOW, float(confidence[stated].min())),
        vmax=1.0,
        linewidths=0,
        rasterized=True,
    )
    axes.set_title("confidence of each location's domain", fontsize=9)
    figure.colorbar(dots, ax=axes, shrink=0.7, label="confidence")
    return figure


def criterion_chart(criterion: Criterion) -> Figure:
    """Draw the criterion against the number of domains, with standard errors and the number chosen.

    Parameters
    ----------
    criterion
        Of the chosen shape.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.4), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    axes.errorbar(
        criterion.numbers, criterion.balance, criterion.standard_error, marker="o", capsize=2, color="#0072B2"
    )
    axes.axvline(
        criterion.chosen, color="#D55E00", linestyle="--", linewidth=1, label=f"chosen: {criterion.chosen}"
    )
    axes.axhline(0.0, color="#888888", linewidth=0.8)
    axes.set_xticks(np.array(criterion.numbers))
    axes.set_xlabel("number of domains")
    axes.set_ylabel("shared − unshared information (bits)")
    axes.set_title("agreement of halves of the genes (mean, standard error)", fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    return figure
