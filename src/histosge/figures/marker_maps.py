"""Maps of marker genes: measured expression beside predictions, over the tissue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge.prediction.prediction import Prediction
from histosge.section.expression import log_cp10k
from histosge.section.genes import refuse_unknown
from histosge.section.marker_genes import symbols_of
from histosge.section.section import Section

from .cell_map import location_map
from .nearest_location import NearestLocationMap
from .tissue_panel import (
    COLOUR_MAP,
    DPI,
    FAINT,
    PANEL_IN,
    TissueView,
    aspect_of,
    colour_bar,
    colour_limits,
    draw_spots,
    draw_tissue,
    scale_bar,
    spots_extent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_prediction", "marker_maps"]


def marker_maps(
    section: Section,
    predictions: Sequence[tuple[str, Prediction]],
    genes: Sequence[str],
    *,
    auxiliary: Sequence[str] = (),
    accuracy: Mapping[str, str] | None = None,
) -> Figure:
    """Draw one row a gene: the tissue, the measured values, and each prediction; all log1p(CP10k).

    Measured and predicted values have a colour scale each, shown beside them: predictions are means and vary less
    than single measurements, which carry noise. Of a prediction the locations on tissue are drawn, each as the area
    that is nearer to it than to any other location; cells whose outlines are known, as these.

    Parameters
    ----------
    section
        Without counts there is no column of measured values, and the title says so.
    predictions
        Labelled predictions, one column each.
    genes
        One row each.
    auxiliary
        Names of the sections that a prediction from the image alone was fitted to, for the title.
    accuracy
        A line on the accuracy of each gene, to stand below its first prediction; genes without one have none.

    Raises
    ------
    UsageError
        For a gene that was not measured or not predicted, or no gene at all.
    """
    from matplotlib.figure import Figure

    _refuse_unknown_genes(section, predictions, genes)
    first = 1 + section.has_counts
    columns = first + len(predictions)
    corners = spots_extent(section)
    row_in = PANEL_IN * aspect_of((corners[1] - corners[0])[::-1])
    size = (PANEL_IN * columns, row_in * len(genes) + 0.3)
    figure = Figure(figsize=size, dpi=DPI, layout="compressed")
    panels = figure.subplots(len(genes), columns, squeeze=False)
    view = TissueView.of(section, corners)
    maps = [location_map(prediction.locations, corners) for _, prediction in predictions]
    measured = log_cp10k(section.counts, columns=section.columns(genes)).toarray()
    names = _names(section, genes)
    for gene, row, values in zip(genes, panels, measured.T, strict=True):
        draw_tissue(row[0], view)
        row[0].set_ylabel(names[gene], fontsize=12 if len(names[gene]) < 14 else 8, fontweight="bold")
        scale_bar(row[0], corners)
        if section.has_counts:
            colour_bar(row[1], draw_spots(row[1], view, values))
        if predictions:
            colour_bar(list(row[first:]), _draw_predictions(row[first:], view, predictions, maps, gene=gene))
            row[first].set_xlabel(fill((accuracy or {}).get(gene, ""), 44), fontsize=7.5)
    titles = [f"{section.name}: tissue", f"measured, {len(section)} spots"][:first]
    titles += [
        f"predicted {label}, {located.number} locations"
        if prediction.locations.cells is None
        else f"predicted, {located.number} {label}"
        for (label, prediction), located in zip(predictions, maps, strict=True)
    ]
    for panel, title in zip(panels[0], titles, strict=True):
        panel.set_title(title, fontsize=10)
    if not section.has_counts:
        fitted = f",\nwith a fit to {', '.join(auxiliary)}" if auxiliary else ""
        figure.suptitle(f"nothing measured here: predicted from the H&E image alone{fitted}", fontsize=10)
    return figure


def draw_prediction(axes: Axes, section: Section, prediction: Prediction, gene: str) -> None:
    """Draw the map of one predicted gene on axes, with a scale bar and a colour bar beside it."""
    corners = spots_extent(section)
    view = TissueView.of(section, corners)
    located = location_map(prediction.locations, corners)
    colour_bar(axes, _draw_predictions([axes], view, [("", prediction)], [located], gene=gene))
    scale_bar(axes, corners)


def _names(section: Section, genes: Sequence[str]) -> dict[str, str]:
    """Return what each gene is called: its name, below its symbol where it is an identifier whose symbol is known."""
    symbols = symbols_of(genes, section.gene_ids[section.columns(genes)])
    return {
        gene: f"{symbol}\n{gene}" if symbol else gene for gene, symbol in zip(genes, symbols, strict=True)
    }


def _draw_predictions(
    panels: Sequence[Axes],
    view: TissueView,
    predictions: Sequence[tuple[str, Prediction]],
    maps: Sequence[NearestLocationMap],
    *,
    gene: str,
) -> Any:
    """Draw one gene of all predictions with one colour scale; return the artist for a colour bar."""
    values = [
        prediction.mean[:, int(np.flatnonzero(prediction.genes == gene)[0])] for _, prediction in predictions
    ]
    low, high = colour_limits(
        np.concatenate([value[located.drawn] for value, located in zip(values, maps, strict=True)])
    )
    artist = None
    for panel, located, value in zip(panels, maps, values, strict=True):
        draw_tissue(panel, view, alpha=FAINT)
        artist = panel.imshow(
            located.paint(value),
            extent=located.extent,
            cmap=COLOUR_MAP,
            vmin=low,
            vmax=high,
            interpolation="nearest",
        )
    return artist


def _refuse_unknown_genes(
    section: Section, predictions: Sequence[tuple[str, Prediction]], genes: Sequence[str]
) -> None:
    refuse_unknown(genes, section.genes, f"section '{section.name}'")
    for label, prediction in predictions:
        refuse_unknown(genes, prediction.genes, f"the prediction {label}")
