"""Maps: genes measured beside genes generated, over the tissue they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_path
from .._errors import UsageError
from .._types import Array
from ..expression import depth, log_cp10k
from ..prediction import Prediction
from ..section import Section
from ..tissue import TissueMask
from .markers import choose_markers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["choose_markers", "marker_maps", "save", "section_overview"]

_PANEL_IN = 3.1
_DPI = 150
_COLOURS = "viridis"
# of the values drawn: a few spots must not take all the colours
_PERCENTILES = (1.0, 99.0)
_IMAGE_PX = 900
# places overlap a little, so that no image shines through between them
_OVERLAP = 1.25
# width of a measured spot as drawn, in pitches: a little larger than life, to be seen
_SPOT = 0.75


def marker_maps(
    section: Section, predictions: Sequence[tuple[str, Prediction]], genes: Sequence[str]
) -> Figure:
    """Draw one row a gene: the tissue, what was measured, and each prediction; all log1p(CP10k).

    The measured values and the predicted ones have a colour scale each, shown beside them: predictions are means and
    vary less than single measurements, which carry noise.

    Raises
    ------
    UsageError
        For a gene that was not measured or not predicted, or no gene at all.
    """
    from matplotlib.figure import Figure

    _refuse_unknown(section, predictions, genes)
    columns = 2 + len(predictions)
    window = _window(section)
    width, height = window[1] - window[0]
    row_in = _PANEL_IN * float(np.clip(height / width, 0.4, 2.5)) + 0.1
    figure = Figure(figsize=(_PANEL_IN * columns, row_in * len(genes) + 0.3), dpi=_DPI, layout="constrained")
    panels = figure.subplots(len(genes), columns, squeeze=False)
    view = _View(section, window, _picture(section, window))
    measured = log_cp10k(section.counts, columns=_columns(section.genes, genes)).toarray()
    for gene, row, values in zip(genes, panels, measured.T, strict=True):
        _draw_tissue(row[0], view.picture, window)
        row[0].set_ylabel(gene, fontsize=12 if len(gene) < 14 else 8, fontweight="bold")
        _scale_bar(row[0], window)
        spots = _draw_places(row[1], view, section.spots.xy, values, _SPOT)
        figure.colorbar(spots, ax=row[1], shrink=0.6, pad=0.01)
        if predictions:
            drawn = _draw_predictions(row[2:], view, predictions, gene)
            figure.colorbar(drawn, ax=list(row[2:]), shrink=0.6, pad=0.01)
    titles = [f"{section.name}: tissue", f"measured, {len(section)} spots"]
    titles += [f"generated {label}, {len(prediction)} places" for label, prediction in predictions]
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title, fontsize=10)
    return figure


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """What all panels of a figure share: the section, the corners in view (µm), and the image there."""

    section: Section
    window: Array
    picture: Array | None


def _draw_predictions(
    panels: Sequence[Axes], view: _View, predictions: Sequence[tuple[str, Prediction]], gene: str
) -> Any:
    """Draw one gene of all predictions on one scale of colours; return what a colour bar needs."""
    values = [prediction.mean[:, _columns(prediction.genes, [gene])[0]] for _, prediction in predictions]
    limits = _limits(np.concatenate(values))
    drawn = None
    for panel, (_, prediction), value in zip(panels, predictions, values, strict=True):
        pitches = _OVERLAP * (len(view.section) / max(len(prediction), 1)) ** 0.5
        drawn = _draw_places(panel, view, prediction.locations.xy, value, pitches, limits)
    return drawn


def section_overview(section: Section, *, mask: TissueMask | None = None) -> Figure:
    """Draw the whole image with spots and the outline of the tissue, and how many counts each spot has."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.3 * _PANEL_IN * 1.1, 1.15 * _PANEL_IN), dpi=_DPI, layout="constrained")
    whole, counts = figure.subplots(1, 2)
    window = _window(section) if section.slide is None else np.array([[0.0, 0.0], section.slide.size_um])
    _draw_tissue(whole, _picture(section, window), window)
    size = _points(window, max(section.spots.diameter_um, 0.3 * section.pitch_um))
    whole.scatter(*section.spots.xy.T, s=size, facecolors="none", edgecolors="tab:blue", linewidths=0.4)
    if mask is not None:
        for line in mask.outline():
            whole.plot(*line.T, color="black", linewidth=0.7)
    _scale_bar(whole, window)
    whole.set_title(f"{section.name}: {len(section)} spots, {section.platform.name}", fontsize=10)
    window = _window(section)
    totals = np.log10(np.maximum(depth(section.counts), 1.0))
    view = _View(section, window, _picture(section, window))
    drawn = _draw_places(counts, view, section.spots.xy, totals, _SPOT)
    figure.colorbar(drawn, ax=counts, shrink=0.7, label="log10 counts")
    counts.set_title("counts per spot", fontsize=10)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return the path; the file appears whole or not at all.

    Raises
    ------
    OutputError
        When the disk is full.
    """
    with atomic_path(path) as draft:
        figure.savefig(draft, format="png", metadata={"Software": "histosge"})
    return path


def _refuse_unknown(
    section: Section, predictions: Sequence[tuple[str, Prediction]], genes: Sequence[str]
) -> None:
    if not genes:
        raise UsageError("Expected at least one gene to draw, got none.")
    for gene in genes:
        if gene not in section.genes:
            raise UsageError(f"Gene '{gene}' was not measured in '{section.name}'.")
        for label, prediction in predictions:
            if gene not in prediction.genes:
                raise UsageError(
                    f"Gene '{gene}' is not among the {len(prediction.genes)} genes predicted ({label})."
                )


def _columns(names: Array, genes: Sequence[str]) -> Array:
    return np.array([int(np.flatnonzero(names == gene)[0]) for gene in genes], dtype=np.intp)


def _window(section: Section) -> Array:
    """Return the corners of the view: the spots and a pitch around them."""
    return np.array([section.spots.xy.min(0) - section.pitch_um, section.spots.xy.max(0) + section.pitch_um])


def _picture(section: Section, window: Array) -> Array | None:
    """Return the part of the image in view."""
    if section.slide is None:
        return None
    mpp = max(section.slide.mpp, float((window[1] - window[0]).max()) / _IMAGE_PX)
    whole = section.slide.thumbnail(mpp)
    left, top = np.floor(np.maximum(window[0], 0) / mpp).astype(int)
    right, bottom = np.ceil(window[1] / mpp).astype(int)
    part = whole[top:bottom, left:right]
    return None if 0 in part.shape else part


def _draw_tissue(panel: Axes, picture: Array | None, window: Array, *, alpha: float = 1.0) -> None:
    """Draw the image and set the view: x to the right, y downwards, in µm."""
    (left, top), (right, bottom) = window
    if picture is not None:
        extent = (max(left, 0.0), right, bottom, max(top, 0.0))
        panel.imshow(picture, extent=extent, alpha=alpha, interpolation="bilinear")
    panel.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    panel.set_facecolor("white")


def _draw_places(
    panel: Axes,
    view: _View,
    xy_um: Array,
    values: Array,
    pitches: float,
    limits: tuple[float, float] | None = None,
) -> Any:
    """Draw coloured places, ``pitches`` wide, over the faded image; return what a colour bar needs."""
    _draw_tissue(panel, view.picture, view.window, alpha=0.35)
    low, high = limits or _limits(values)
    size = _points(view.window, pitches * view.section.pitch_um)
    return panel.scatter(
        *xy_um.T, c=values, s=size, cmap=_COLOURS, vmin=low, vmax=high, linewidths=0, rasterized=True
    )


def _limits(values: Array) -> tuple[float, float]:
    low, high = np.percentile(values, _PERCENTILES)
    # where nearly all values are equal, show what there is
    if high - low < 1e-6:
        low, high = float(values.min()), float(values.max())
    return float(low), float(high) if high > low else float(low) + 1.0


def _points(window: Array, width_um: float) -> float:
    """Return matplotlib's marker area for dots ``width_um`` wide in a panel of the usual width."""
    points = 72 * 0.9 * _PANEL_IN * width_um / float(window[1, 0] - window[0, 0])
    return max(points, 0.2) ** 2


def _scale_bar(panel: Axes, window: Array) -> None:
    """Draw a bar of a round length, about a quarter of the view."""
    (left, _), (right, bottom) = window
    quarter = (right - left) / 4
    power = 10 ** np.floor(np.log10(quarter))
    length = float(max(step for step in (1, 2, 5) if step * power <= quarter) * power)
    start, height = left + 0.05 * (right - left), bottom - 0.05 * (right - left)
    panel.plot([start, start + length], [height, height], color="black", linewidth=2.5, solid_capstyle="butt")
    text = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    panel.text(start + length / 2, height - 0.02 * (right - left), text, ha="center", va="bottom", fontsize=8)
