"""Plots, scanpy-shaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ._runtime.types import Array
from .errors import DataError, UsageError
from .evaluation.captions import captions, score_genes
from .figures.captions import with_captions
from .figures.domain_maps import Panel, domain_maps, draw_domains
from .figures.marker_maps import draw_prediction, marker_maps
from .figures.section_overview import draw_overview, section_overview
from .io.anndata_objects import Measured, section_of
from .prediction.prediction import Prediction
from .report import write as write_report
from .section.genes import GeneChoice, Genes, refuse_unknown
from .section.locations import upsampled
from .section.section import Section
from .section.target import tissue_of
from .workflow.compute import Compute
from .workflow.domain_input import map_locations
from .workflow.fit import fit
from .workflow.predict import predict
from .workflow.recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["domains", "enhance", "overview", "report"]


def enhance(
    data: Measured,
    predictions: Sequence[tuple[str, Prediction]] | None = None,
    genes: Genes = (),
    *,
    recipe: Recipe | None = None,
    upsample: Sequence[int] = (2, 4, 8),
    compute: Compute = Compute(),
    ax: Axes | None = None,
) -> Figure:
    """Draw genes, measured beside predicted, over the H&E image: one row a gene, one column a labelled prediction.

    Below each map stands Moran's I of the measured or predicted values. Where the recipe is given, the accuracy of the
    gene stands there too: the recipe is fitted to half of the spots, and the correlation and the coverage of the 90 %
    interval are those at the other half.

    Parameters
    ----------
    data
        A section, or an AnnData with raw counts.
    predictions
        Labelled predictions to draw; ``None`` predicts with ``recipe``, fitted to all spots.
    genes
        Names, a list or separated by commas; one row each.
    recipe
        What the predictions were made with; needed for the accuracy at test spots. Where both are ``None``, the
        default one.
    upsample
        Locations per spot, one column each, where ``predictions`` is ``None``.
    compute
        Device and store.
    ax
        Axes for the map of one gene of one prediction alone; its figure is returned. By default a new figure. Settings
        of Matplotlib are never changed.

    Raises
    ------
    UsageError
        For a gene that was not measured or not predicted (near misses are offered), or none at all; for ``ax`` and
        several maps.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> kriging = hs.Recipe("kriging", genes="all")
    >>> figure = hs.pl.enhance(section, genes="ZONE1", recipe=kriging, upsample=[2])
    >>> figure.savefig("enhanced.png")
    """
    section = section_of(data)
    genes = GeneChoice.parse(genes).names if genes else ()
    refuse_unknown(genes, section.genes, f"section '{section.name}'")
    if predictions is None:
        recipe = recipe or Recipe()
        predictions = _predictions(section, recipe, genes, upsample=upsample, compute=compute)
    for label, prediction in predictions:
        refuse_unknown(genes, prediction.genes, f"the prediction {label}")
    if ax is not None:
        return _single(ax, section, predictions, genes)
    scores = None if recipe is None else score_genes(section, recipe, genes, compute=compute)
    figure = marker_maps(section, predictions, genes)
    return with_captions(figure, captions(section, predictions, genes, scores=scores))


def _single(
    ax: Axes, section: Section, predictions: Sequence[tuple[str, Prediction]], genes: Sequence[str]
) -> Figure:
    """Draw the map of one gene on given axes."""
    if len(genes) != 1 or len(predictions) != 1:
        raise UsageError(
            f"`ax` has room for one gene of one prediction, got {len(genes)} genes of {len(predictions)} predictions. "
            "Name one gene and one `upsample`, or leave out `ax`."
        )
    (label, prediction), (gene,) = predictions[0], genes
    draw_prediction(ax, section, prediction, gene)
    ax.set_title(f"{gene} predicted {label}", fontsize=10)
    return _figure_of(ax)


def _figure_of(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    if figure is None:
        raise UsageError("Expected `ax` of a figure, got axes that were removed from theirs.")
    return figure


def _predictions(
    section: Section, recipe: Recipe, genes: Sequence[str], *, upsample: Sequence[int], compute: Compute
) -> list[tuple[str, Prediction]]:
    """Fit a recipe to all spots, and predict at several upsampling factors."""
    result = fit(section, recipe, compute=compute)
    if absent := [gene for gene in genes if gene not in set(result.panel.names)]:
        raise UsageError(
            f"'{absent[0]}' was measured, but is not among the {len(result.panel)} genes that the recipe fits "
            f"('{recipe.genes}'). Fit all: recipe=hs.Recipe(genes='all')."
        )
    depth = ", at mean depth" if recipe.depth_adjusted else ""
    # the tissue is found once for all factors
    mask = tissue_of(section)
    return [
        (
            f"×{factor}{depth}",
            predict(result, section, upsampled(section, factor, mask=mask), compute=compute),
        )
        for factor in upsample
    ]


def domains(
    data: Measured, keys: str | Sequence[str] | Mapping[str, Array], *, ax: Axes | None = None
) -> Figure:
    """Draw domains over the H&E, one map each; similar domains have similar colours.

    Parameters
    ----------
    data
        A section, or an AnnData of spots or of predicted locations.
    keys
        Columns of ``obs`` as :func:`histosge.tl.domains` adds them; or the domains themselves by title.
    ax
        Axes for a single map; its figure is returned. By default a new figure.

    Raises
    ------
    UsageError
        For a column that is not there, or none; for ``ax`` and several maps.
    DataError
        For domains of another number of locations.
    """
    background = map_locations(data)
    if isinstance(keys, Mapping):
        labels_by_title = {title: np.asarray(labels).astype(str) for title, labels in keys.items()}
    else:
        labels_by_title = _columns(data, [keys] if isinstance(keys, str) else list(keys), background.ids)
    if not labels_by_title:
        raise UsageError("Expected at least one set of domains to draw, got none.")
    for title, labels in labels_by_title.items():
        if len(labels) != len(background.ids):
            raise DataError(
                f"Expected a domain for each of {len(background.ids)} locations, got {len(labels)} of '{title}'."
            )
    panels = [Panel(title, background.xy_um, labels) for title, labels in labels_by_title.items()]
    if ax is None:
        return domain_maps(panels, background.image)
    if len(panels) != 1:
        raise UsageError(f"`ax` has room for one map, got {len(panels)}. Name one, or leave out `ax`.")
    draw_domains(ax, panels[0], background.image)
    return _figure_of(ax)


def overview(data: Measured, *, ax: Axes | None = None) -> Figure:
    """Draw the spots and the tissue's outline on the image, to see whether they match.

    Parameters
    ----------
    data
        A section, or an AnnData with raw counts.
    ax
        Axes for the image with spots and outline alone; its figure is returned. By default a new figure, with the
        counts beside it.

    Examples
    --------
    >>> import histosge as hs
    >>> section = hs.synthetic(columns=8, rows=8, genes=12).section
    >>> hs.pl.overview(section).savefig("section.png")
    """
    section = section_of(data)
    if ax is None:
        return section_overview(section, mask=tissue_of(section))
    draw_overview(ax, section, tissue_of(section), f"{section.name}: {len(section)} spots")
    return _figure_of(ax)


def report(folder: str | Path, data: Measured | None = None, *, gene: str | None = None) -> Path:
    """Write ``report.html`` into the folder of a run, and return its path.

    Parameters
    ----------
    folder
        The ``out`` of :func:`histosge.run`.
    data
        The section that the run was given, for the image in its own resolution.
    gene
        The gene to open with.
    """
    return write_report(Path(folder), section=None if data is None else section_of(data), first=gene)


def _columns(data: Measured, keys: Sequence[str], ids: Array) -> dict[str, Array]:
    """Return columns of ``obs`` at the locations ``ids``, as text; empty where there is no domain."""
    if isinstance(data, Section):
        raise UsageError("A section has no columns. Give the domains by title: {'kmeans': labels}.")
    for key in keys:
        if key not in data.obs:
            raise UsageError(
                f"There is no column '{key}' in obs; it has {', '.join(map(str, data.obs.columns)) or 'none'}. "
                "Run hs.tl.domains first."
            )
    table = data.obs.loc[list(ids), list(keys)].astype(object)
    return {key: table[key].where(table[key].notna(), "").to_numpy().astype(str) for key in keys}


def __dir__() -> list[str]:
    return sorted(__all__)
