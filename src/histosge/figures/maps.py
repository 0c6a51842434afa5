"""Maps: genes measured beside genes generated, over the tissue they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.types import Array
from histosge.errors import UsageError
from histosge.images.tissue import TissueMask
from histosge.prediction.prediction import Prediction
from histosge.section.expression import depth, log_cp10k
from histosge.section.section import Section

from .tiling import Tiling, tiling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["marker_maps", "save", "section_overview"]

_PANEL_IN = 3.1
_DPI = 150
_COLOURS = "viridis"
_UNIT = "log1p(CP10k)"
# of the values drawn: a few spots must not take all the colours
_PERCENTILES = (1.0, 99.0)
_IMAGE_PX = 900
# width of a measured spot as drawn, in pitches: a little larger than life, to be seen
_SPOT = 0.75
# on the whole image: small enough to see the tissue between, in a colour that no stain has
_DOT, _DOT_COLOUR = 0.3, "#00b4d8"
_FAINT = 0.35


def marker_maps(
    section: Section,
    predictions: Sequence[tuple[str, Prediction]],
    genes: Sequence[str],
    *,
    learnt_from: Sequence[str] = (),
) -> Figure:
    """Draw one row a gene: the tissue, what was measured, and each prediction; all log1p(CP10k).

    Where nothing was measured there is no such column, and the figure says so, and which sections it was learnt from.

    The measured values and the predicted ones have a colour scale each, shown beside them: predictions are means and
    vary less than single measurements, which carry noise. Of a prediction the places on tissue are drawn, each as
    the area that is nearer to it than to any other.

    Raises
    ------
    UsageError
        For a gene that was not measured or not predicted, or no gene at all.
    """
    from matplotlib.figure import Figure

    _refuse_unknown(section, predictions, genes)
    first = 1 + section.has_counts
    columns = first + len(predictions)
    window = _window(section)
    width, height = window[1] - window[0]
    row_in = _PANEL_IN * float(np.clip(height / width, 0.4, 2.5))
    figure = Figure(figsize=(_PANEL_IN * columns, row_in * len(genes) + 0.3), dpi=_DPI, layout="compressed")
    panels = figure.subplots(len(genes), columns, squeeze=False)
    view = _View(section, window, _picture(section, window))
    tilings = [tiling(prediction.locations, window) for _, prediction in predictions]
    measured = log_cp10k(section.counts, columns=_columns(section.genes, genes)).toarray()
    for gene, row, values in zip(genes, panels, measured.T, strict=True):
        _draw_tissue(row[0], view)
        row[0].set_ylabel(gene, fontsize=12 if len(gene) < 14 else 8, fontweight="bold")
        _scale_bar(row[0], window)
        if section.has_counts:
            _colour_bar(row[1], _draw_spots(row[1], view, values))
        if predictions:
            _colour_bar(list(row[first:]), _draw_predictions(row[first:], view, predictions, tilings, gene))
    titles = [f"{section.name}: tissue", f"measured, {len(section)} spots"][:first]
    if not section.has_counts:
        figure.suptitle(_unmeasured(learnt_from), fontsize=10)
    titles += [
        f"generated {label}, {tiles.places} places"
        for (label, _), tiles in zip(predictions, tilings, strict=True)
    ]
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title, fontsize=10)
    return figure


def _unmeasured(learnt_from: Sequence[str]) -> str:
    """Say that all of a figure is a guess from the image."""
    names = f",\nas learnt from {', '.join(learnt_from)}" if learnt_from else ""
    return f"nothing was measured here: predicted from the image alone{names}"


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """What all panels of a figure share: the section, the corners in view (µm), and the image there."""

    section: Section
    window: Array
    picture: _Picture | None


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """Part of an image, and where its borders are in µm (left, right, bottom, top)."""

    rgb: Array
    extent: tuple[float, float, float, float]


def _draw_predictions(
    panels: Sequence[Axes],
    view: _View,
    predictions: Sequence[tuple[str, Prediction]],
    tilings: Sequence[Tiling],
    gene: str,
) -> Any:
    """Draw one gene of all predictions on one scale of colours; return what a colour bar needs."""
    values = [prediction.mean[:, _columns(prediction.genes, [gene])[0]] for _, prediction in predictions]
    low, high = _limits(
        np.concatenate([value[tiles.drawn] for value, tiles in zip(values, tilings, strict=True)])
    )
    drawn = None
    for panel, tiles, value in zip(panels, tilings, values, strict=True):
        _draw_tissue(panel, view, alpha=_FAINT)
        drawn = panel.imshow(
            tiles.paint(value),
            extent=tiles.extent,
            cmap=_COLOURS,
            vmin=low,
            vmax=high,
            interpolation="nearest",
        )
    return drawn


def section_overview(section: Section, *, mask: TissueMask | None = None) -> Figure:
    """Draw the whole image with spots and the outline of the tissue, and how many counts each spot has."""
    from matplotlib.figure import Figure

    if not section.has_counts:
        return _image_overview(section, mask)
    near = _window(section)
    window = near if section.slide is None else np.array([[0.0, 0.0], section.slide.size_um])
    shapes = [float(np.clip(np.divide(*(corners[1] - corners[0])), 0.4, 2.5)) for corners in (window, near)]
    # both panels equally tall
    size = (1.15 * _PANEL_IN * sum(shapes) + 1.2, 1.15 * _PANEL_IN + 0.4)
    figure = Figure(figsize=size, dpi=_DPI, layout="compressed")
    whole, counts = figure.subplots(1, 2, width_ratios=shapes)
    view = _View(section, window, _picture(section, window))
    _draw_tissue(whole, view)
    _discs(whole, section.spots.xy, _DOT * section.pitch_um, facecolors=_DOT_COLOUR, linewidths=0)
    for line in [] if mask is None else _around_spots(mask, section):
        whole.plot(*line.T, color="black", linewidth=0.8, path_effects=_halo(1.8))
    _scale_bar(whole, window)
    whole.set_title(f"{section.name}: {len(section)} spots, {section.platform.name}", fontsize=10)
    view = _View(section, near, _picture(section, near))
    drawn = _draw_spots(counts, view, np.log10(np.maximum(depth(section.counts), 1.0)))
    _scale_bar(counts, near)
    _colour_bar(counts, drawn, "log10 counts")
    counts.set_title("counts per spot", fontsize=10)
    return figure


def _image_overview(section: Section, mask: TissueMask | None) -> Figure:
    """Draw the whole image of a section of which nothing was measured, and where it was looked at."""
    from matplotlib.figure import Figure

    near = _window(section)
    window = near if section.slide is None else np.array([[0.0, 0.0], section.slide.size_um])
    shape = float(np.clip(np.divide(*(window[1] - window[0])), 0.4, 2.5))
    figure = Figure(
        figsize=(1.3 * _PANEL_IN * shape + 0.4, 1.3 * _PANEL_IN + 0.4), dpi=_DPI, layout="compressed"
    )
    whole = figure.subplots()
    _draw_tissue(whole, _View(section, window, _picture(section, window)))
    _discs(whole, section.spots.xy, _DOT * section.pitch_um, facecolors=_DOT_COLOUR, linewidths=0)
    for line in [] if mask is None else _around_spots(mask, section):
        whole.plot(*line.T, color="black", linewidth=0.8, path_effects=_halo(1.8))
    _scale_bar(whole, window)
    whole.set_title(f"{section.name}: nothing measured; looked at in {len(section)} places", fontsize=10)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG and return the path; the file appears whole or not at all.

    Raises
    ------
    OutputError
        When the disk is full.
    """
    with atomic_path(path) as draft:
        figure.savefig(
            draft, format="png", bbox_inches="tight", pad_inches=0.08, metadata={"Software": "histosge"}
        )
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


def _picture(section: Section, window: Array) -> _Picture | None:
    """Return the part of the image in view, as far as it reaches."""
    if section.slide is None:
        return None
    mpp = max(section.slide.mpp, float((window[1] - window[0]).max()) / _IMAGE_PX)
    whole = section.slide.thumbnail(mpp)
    # the size of the thumbnail was rounded to whole pixels
    pixel = np.array(section.slide.size_um) / whole.shape[1::-1]
    left, top = np.floor(np.maximum(window[0], 0) / pixel).astype(int)
    right, bottom = np.minimum(np.ceil(window[1] / pixel).astype(int), whole.shape[1::-1])
    part = whole[top:bottom, left:right]
    if 0 in part.shape:
        return None
    return _Picture(part, (left * pixel[0], right * pixel[0], bottom * pixel[1], top * pixel[1]))


def _draw_tissue(panel: Axes, view: _View, *, alpha: float = 1.0) -> None:
    """Draw the image and set the view: x to the right, y downwards, in µm."""
    (left, top), (right, bottom) = view.window
    if view.picture is not None:
        panel.imshow(view.picture.rgb, extent=view.picture.extent, alpha=alpha, interpolation="bilinear")
    panel.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")
    panel.set_facecolor("white")
    for spine in panel.spines.values():
        spine.set(linewidth=0.5, color="0.6")


def _draw_spots(panel: Axes, view: _View, values: Array) -> Any:
    """Draw the measured spots, coloured, over the faded image; return what a colour bar needs."""
    _draw_tissue(panel, view, alpha=_FAINT)
    discs = _discs(panel, view.section.spots.xy, _SPOT * view.section.pitch_um, linewidths=0)
    discs.set(array=values, cmap=_COLOURS, clim=_limits(values), rasterized=True)
    return discs


def _discs(panel: Axes, xy_um: Array, width_um: float, **style: Any) -> Any:
    """Draw discs of a width in µm, whatever the size of the panel."""
    from matplotlib.collections import EllipseCollection

    widths = np.full(len(xy_um), width_um)
    discs = EllipseCollection(
        widths,
        widths,
        np.zeros(len(xy_um)),
        units="xy",
        offsets=xy_um,
        offset_transform=panel.transData,
        **style,
    )
    panel.add_collection(discs)
    return discs


def _around_spots(mask: TissueMask, section: Section) -> list[Array]:
    """Return the outlines that have spots within; the frame's marks and other sections have none."""
    import shapely

    spots = shapely.MultiPoint(section.spots.xy)
    shapes = [(line, shapely.Polygon(line).buffer(0)) for line in mask.outline() if len(line) >= 4]
    return [line for line, shape in shapes if shapely.intersects(shape, spots)]


def _colour_bar(panels: Any, drawn: Any, label: str = _UNIT) -> None:
    """Draw the colours' scale beside the panels they are used in."""
    axes = panels if isinstance(panels, list) else [panels]
    bar = axes[0].figure.colorbar(drawn, ax=axes, shrink=0.7, pad=0.015, aspect=24)
    bar.set_label(label, fontsize=7)
    bar.ax.tick_params(labelsize=7, width=0.5, length=2)
    bar.outline.set_linewidth(0.5)


def _limits(values: Array) -> tuple[float, float]:
    low, high = np.percentile(values, _PERCENTILES)
    # where nearly all values are equal, show what there is
    if high - low < 1e-6:
        low, high = float(values.min()), float(values.max())
    return float(low), float(high) if high > low else float(low) + 1.0


def _halo(width: float) -> list[Any]:
    """Return a white edge, for what is drawn over tissue of any colour."""
    from matplotlib import patheffects

    return [patheffects.withStroke(linewidth=width, foreground="white")]


def _scale_bar(panel: Axes, window: Array) -> None:
    """Draw a bar of a round length, about a quarter of the view."""
    (left, _), (right, bottom) = window
    quarter = (right - left) / 4
    power = 10 ** np.floor(np.log10(quarter))
    length = float(max(step for step in (1, 2, 5) if step * power <= quarter) * power)
    start, height = left + 0.05 * (right - left), bottom - 0.05 * (right - left)
    style: dict[str, Any] = {"color": "black", "path_effects": _halo(4.0), "solid_capstyle": "butt"}
    panel.plot([start, start + length], [height, height], linewidth=2.5, **style)
    text = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    label: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8, "path_effects": _halo(2.0)}
    panel.text(start + length / 2, height - 0.02 * (right - left), text, **label)
