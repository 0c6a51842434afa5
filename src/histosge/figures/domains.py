"""Maps of domains, and bars of how far they agree with an annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array, Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Backdrop", "Panel", "agreement_bars", "domain_maps", "matched"]

_PANEL_IN = 3.0
_DPI = 150
_MOST_COLUMNS = 4
_UNLABELLED = "#bbbbbb"
# Okabe & Ito's, then others, told apart by nearly everybody
_COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#000000",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
)


@dataclass(frozen=True, slots=True, eq=False)
class Backdrop:
    """An image to draw on.

    Parameters
    ----------
    pixels
        Red, green, blue.
    mpp
        µm per pixel.
    """

    pixels: Array
    mpp: float


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One map: a title, places, and the name of each place's domain, empty where it has none."""

    title: str
    xy_um: Float[np.ndarray, "n 2"]
    labels: Array


def domain_maps(panels: Sequence[Panel], picture: Backdrop | None = None) -> Figure:
    """Draw maps over the faded image; domains that overlap most with the first map's have its colours.

    The numbers of domains mean nothing, so colours are matched over the places that two maps share.
    """
    from matplotlib.figure import Figure

    columns = min(_MOST_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    low, high = panels[0].xy_um.min(axis=0), panels[0].xy_um.max(axis=0)
    margin = 0.03 * float((high - low).max()) or 1.0
    window = np.array([low - margin, high + margin])
    tall = float(np.clip((window[1] - window[0])[1] / (window[1] - window[0])[0], 0.4, 2.5))
    figure = Figure(
        figsize=(_PANEL_IN * columns, (_PANEL_IN * tall + 0.3) * rows), dpi=_DPI, layout="constrained"
    )
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for place, panel in zip(axes, panels, strict=False):
        _draw(place, panel, panels[0], window, picture)
    for place in axes[len(panels) :]:
        place.set_axis_off()
    return figure


def matched(panel: Panel, model: Panel) -> dict[str, int]:
    """Return a number for each domain of ``panel``: that of the domain of ``model`` it overlaps most with.

    Places are joined with the nearest of ``model``'s.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial import cKDTree

    names = _names(panel.labels)
    ours = _names(model.labels)
    there = model.labels[cKDTree(model.xy_um).query(panel.xy_um)[1]]
    overlap = np.array([[((panel.labels == a) & (there == b)).sum() for b in ours] for a in names])
    left, right = linear_sum_assignment(-overlap)
    number = {names[a]: int(b) for a, b in zip(left, right, strict=True)}
    spare = iter(k for k in range(len(names) + len(ours)) if k not in set(number.values()))
    return {name: number[name] if name in number else next(spare) for name in names}


def agreement_bars(table: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw the adjusted Rand index as bars: one group a clustering method, one bar a source of the data.

    Parameters
    ----------
    table
        ``table[method][source]`` holds one value a section and seed; bars are means, whiskers standard deviations.
    """
    from matplotlib.figure import Figure

    sources = list(dict.fromkeys(source for each in table.values() for source in each))
    figure = Figure(figsize=(1.2 + 0.32 * len(sources) * len(table), 3.6), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(sources)
    for rank, source in enumerate(sources):
        values = [np.asarray(table[method].get(source, [np.nan]), dtype=float) for method in table]
        # one value has no spread: no whisker
        sd = [each.std(ddof=1) if len(each) > 1 else np.nan for each in values]
        at = np.arange(len(table)) + (rank - (len(sources) - 1) / 2) * width
        colour = _COLOURS[rank % len(_COLOURS)]
        axes.bar(at, [each.mean() for each in values], width, yerr=sd, color=colour, label=source, capsize=2)
    axes.set_xticks(np.arange(len(table)), list(table))
    axes.set_ylabel("ARI with the annotation (mean, sd)")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _draw(axes: Axes, panel: Panel, model: Panel, window: Array, picture: Backdrop | None) -> None:
    (left, top), (right, bottom) = window
    if picture is not None:
        height, width = picture.pixels.shape[:2]
        extent = (0.0, width * picture.mpp, height * picture.mpp, 0.0)
        axes.imshow(picture.pixels, extent=extent, alpha=0.35)
    number = matched(panel, model)
    bare = panel.labels == ""
    size = _dot(panel.xy_um, window)
    axes.scatter(*panel.xy_um[bare].T, s=size, c=_UNLABELLED, linewidths=0, rasterized=True)
    for name in _names(panel.labels):
        rows = panel.labels == name
        colour: Any = _COLOURS[number[name] % len(_COLOURS)]
        axes.scatter(*panel.xy_um[rows].T, s=size, color=colour, linewidths=0, rasterized=True, label=name)
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    axes.set_title(panel.title, fontsize=9)


def _names(labels: Array) -> list[str]:
    return [str(name) for name in np.unique(labels) if name != ""]


def _dot(xy_um: Array, window: Array) -> float:
    """Return matplotlib's marker area for dots that nearly touch."""
    from scipy.spatial import cKDTree

    apart = float(
        np.median(cKDTree(xy_um).query(xy_um, k=min(2, len(xy_um)))[0].reshape(len(xy_um), -1)[:, -1])
    )
    width = 72 * 0.9 * _PANEL_IN * apart / float(window[1, 0] - window[0, 0])
    return max(width, 0.3) ** 2
