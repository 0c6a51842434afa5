"""Maps of spatial domains, with matched colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.geometry.spacing import median_spacing_um

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DOMAIN_COLOURS",
    "NO_DOMAIN",
    "Backdrop",
    "Panel",
    "domain_maps",
    "draw_backdrop",
    "draw_domains",
    "marker_area",
    "matched_numbers",
    "view_of",
]

_PANEL_IN = 4.0
_LEGEND_IN = 0.9
_DPI = 150
_MAX_COLUMNS = 4
#: of locations without a domain, or without a statement
NO_DOMAIN = "#bbbbbb"
#: Okabe & Ito's palette for colour-vision deficiency, then further colours
DOMAIN_COLOURS = (
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
    """One map.

    Parameters
    ----------
    title
        Above the map.
    xy_um
        Locations.
    labels
        Name of each location's domain, empty where it has none.
    """

    title: str
    xy_um: Float[np.ndarray, "n 2"]
    labels: Array


def domain_maps(panels: Sequence[Panel], image: Backdrop | None = None) -> Figure:
    """Draw maps over the faded image; domains that overlap most with the first map's have its colours.

    The numbers of domains are arbitrary, so colours are matched by the locations that two maps share.

    Parameters
    ----------
    panels
        Maps; the first one sets the view and the colours.
    image
        The tissue.
    """
    from matplotlib.figure import Figure

    columns = min(_MAX_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    corners, panel_in = view_of(panels[0].xy_um)
    size = (_PANEL_IN * columns + _LEGEND_IN, (panel_in + 0.3) * rows)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel, panels[0], corners=corners, image=image)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    _legend(figure, panels)
    return figure


def draw_domains(axes: Axes, panel: Panel, image: Backdrop | None = None) -> None:
    """Draw one map on axes, with a legend."""
    corners, _ = view_of(panel.xy_um)
    _draw(axes, panel, panel, corners=corners, image=image)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def view_of(xy_um: Array) -> tuple[Array, float]:
    """Return the corners of a view of locations in µm, and the height of its panel in inches."""
    low, high = xy_um.min(axis=0), xy_um.max(axis=0)
    margin = 0.03 * float((high - low).max()) or 1.0
    corners = np.array([low - margin, high + margin])
    width, height = corners[1] - corners[0]
    return corners, _PANEL_IN * float(np.clip(height / width, 0.4, 2.5))


def matched_numbers(panel: Panel, reference: Panel) -> dict[str, int]:
    """Return a number for each domain of ``panel``: that of the domain of ``reference`` it overlaps most with.

    Locations are joined with the nearest of the reference; the assignment with the largest total overlap is taken
    (Hungarian algorithm). Domains without a partner get the next free numbers.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial import cKDTree

    names, reference_names = _names(panel.labels), _names(reference.labels)
    nearest = reference.labels[cKDTree(reference.xy_um).query(panel.xy_um)[1]]
    overlap = np.array(
        [[((panel.labels == a) & (nearest == b)).sum() for b in reference_names] for a in names]
    )
    # the assignment minimises cost, so overlaps are negated
    left, right = linear_sum_assignment(-overlap)
    number = {names[a]: int(b) for a, b in zip(left, right, strict=True)}
    free = iter(k for k in range(len(names) + len(reference_names)) if k not in set(number.values()))
    return {name: number[name] if name in number else next(free) for name in names}


def _draw(axes: Axes, panel: Panel, reference: Panel, *, corners: Array, image: Backdrop | None) -> None:
    draw_backdrop(axes, corners, image)
    number = matched_numbers(panel, reference)
    unlabelled = panel.labels == ""
    size = marker_area(panel.xy_um, corners)
    axes.scatter(*panel.xy_um[unlabelled].T, s=size, c=NO_DOMAIN, linewidths=0, rasterized=True)
    for name in _names(panel.labels):
        rows = panel.labels == name
        colour: Any = DOMAIN_COLOURS[number[name] % len(DOMAIN_COLOURS)]
        axes.scatter(*panel.xy_um[rows].T, s=size, color=colour, linewidths=0, rasterized=True, label=name)
    axes.set_title(panel.title, fontsize=9)


def draw_backdrop(axes: Axes, corners: Array, image: Backdrop | None) -> None:
    """Draw the faded image, where there is one, and set the view."""
    (left, top), (right, bottom) = corners
    if image is not None:
        height, width = image.pixels.shape[:2]
        extent = (0.0, width * image.mpp, height * image.mpp, 0.0)
        axes.imshow(image.pixels, extent=extent, alpha=0.35)
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")


def _legend(figure: Figure, panels: Sequence[Panel]) -> None:
    """Name the colours once: by the first map, whose names the matched domains of the others share."""
    from matplotlib.lines import Line2D

    drawn = {number: name for panel in panels[:1] for name, number in matched_numbers(panel, panel).items()}
    for panel in panels[1:]:
        for number in matched_numbers(panel, panels[0]).values():
            drawn.setdefault(number, f"further {number + 1}")
    marks = [
        Line2D([], [], linestyle="", marker="o", color=DOMAIN_COLOURS[k % len(DOMAIN_COLOURS)], label=name)
        for k, name in sorted(drawn.items())
    ]
    if any((panel.labels == "").any() for panel in panels):
        marks.append(Line2D([], [], linestyle="", marker="o", color=NO_DOMAIN, label="none"))
    figure.legend(handles=marks, loc="outside right upper", fontsize=8, frameon=False, title="domain")


def _names(labels: Array) -> list[str]:
    # "2" comes before "10"
    return sorted((str(name) for name in np.unique(labels) if name != ""), key=lambda name: (len(name), name))


def marker_area(xy_um: Array, corners: Array) -> float:
    """Return matplotlib's marker area (points squared) for dots that nearly touch."""
    spacing_um = median_spacing_um(xy_um)
    spacing_um = spacing_um if np.isfinite(spacing_um) else 0.0
    width = 72 * 0.9 * _PANEL_IN * spacing_um / float(corners[1, 0] - corners[0, 0])
    return max(width, 0.3) ** 2
