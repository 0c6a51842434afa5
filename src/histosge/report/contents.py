"""The contents of a report, from the folder of a run and optionally its section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.names import positions
from histosge._runtime.types import Array, Bool, Float
from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.mean_depth import is_depth_adjusted
from histosge.prediction.prediction import Prediction
from histosge.section.image_only import tissue_in
from histosge.section.section import Section

from . import folder as folders
from .area_means import AreaMeans, area_means
from .labels import Labels, labels_in
from .measured import Measured
from .on_tissue import on_tissue
from .outlines import class_labels

__all__ = ["Contents", "collect", "gene_ids"]

# simplification of the outline, which is only drawn
_OUTLINE_UM = 4.0
_MAX_LINES = 400
_NOT_KNOWN = "the fit is adjusted for depth, and measured spots do not show what its means miss"


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The contents of the page.

    Parameters
    ----------
    record
        ``run.json``.
    prediction
        Factors, or a matrix of those genes that a page has room for.
    predicted
        Number of genes that the run predicted.
    measured
        Measured values, or ``None`` where neither folder nor section has them.
    slide
        The image, or ``None``.
    mpp
        µm per pixel of the full-resolution image.
    outline
        Borders of the tissue in µm.
    labels
        Domains.
    scores
        ``scores.json``, where there is one.
    shown
        Locations on tissue.
    means
        How far means over disks are known, or why that cannot be said.
    gene_ids
        Identifier of each gene of the prediction; its name where no other is known.
    """

    record: Mapping[str, Any]
    prediction: FactoredPrediction | Prediction
    predicted: int
    measured: Measured | None
    slide: SlideImage | None
    mpp: float
    outline: tuple[Float[np.ndarray, "m 2"], ...]
    labels: tuple[Labels, ...]
    scores: Mapping[str, Any] | None
    shown: Bool[np.ndarray, " n"]
    means: AreaMeans | str
    gene_ids: Array

    @property
    def image_only(self) -> bool:
        """Whether nothing of the section was measured."""
        return not self.record["section"].get("measured", True)

    @property
    def pitch_um(self) -> float:
        """Distance between measured spots."""
        return float(self.record["section"].get("pitch_um") or 100.0)


def collect(folder: Path, *, section: Section | None = None) -> Contents:
    """Read the folder of a run; the section adds the image in its own resolution and all counts.

    Raises
    ------
    UsageError
        When the folder has no run, or the section is not that of the run.
    DataError
        When its files are damaged.
    """
    record = folders.record(folder)
    _refuse_other(record, section, folder)
    files = folders.read_files(folder, record)
    measured, slide, mpp = files.measured, files.slide, files.mpp
    if section is not None:
        slide, mpp = section.slide, section.mpp
        measured = Measured.of(section, files.prediction.genes) if section.has_counts else None
    points = files.prediction.locations.points
    spots = points if measured is None else measured.spots
    pitch_um = float(record["section"].get("pitch_um") or 100.0)
    shown = on_tissue(files.prediction.locations, measured, pitch_um)
    return Contents(
        record=record,
        prediction=files.prediction,
        predicted=files.predicted,
        measured=measured,
        slide=slide,
        mpp=mpp,
        outline=_outline(_tissue(slide, spots, pitch_um, measured=measured is not None), spots, pitch_um),
        labels=(*labels_in(folder, points.ids, spots.ids), *class_labels(files.prediction.locations.cells)),
        scores=folders.scores(folder),
        shown=shown,
        means=_NOT_KNOWN
        if is_depth_adjusted(record)
        else area_means(
            folder, record, prediction=files.prediction, section=section or files.section, shown=shown
        ),
        gene_ids=gene_ids(files.prediction.genes, section or files.section),
    )


def gene_ids(genes: Array, section: Section | None) -> Array:
    """Return the identifier of each gene; its name where the section does not have it."""
    if section is None:
        return genes
    columns, ids = positions(genes, section.genes), genes.astype(str).astype(object)
    # an image without measured spots has no genes
    known = columns >= 0
    ids[known] = section.gene_ids[columns[known]]
    return ids.astype(str)


def _refuse_other(record: Mapping[str, Any], section: Section | None, folder: Path) -> None:
    made_from = record["section"].get("fingerprint")
    if section is not None and made_from is not None and made_from != section.fingerprint:
        raise UsageError(
            f"The run in '{folder}' has other data or another image than section '{section.name}'. "
            "Give the section and the `image` of the run."
        )


def _tissue(slide: SlideImage | None, spots: Points, pitch_um: float, *, measured: bool) -> TissueMask:
    """Return the tissue as the run took it; locations without measurements cannot say where it is."""
    if slide is not None and not measured:
        return tissue_in(slide)
    return TissueMask.of_section(slide, spots, pitch_um)


def _outline(mask: TissueMask, spots: Points, pitch_um: float) -> tuple[Array, ...]:
    """Return the borders of the tissue, the longest first, simplified for drawing."""
    import shapely

    lines = sorted((line for line in mask.outline() if len(line) > 3), key=len, reverse=True)[:_MAX_LINES]
    borders = []
    for line in lines:
        border = shapely.make_valid(shapely.Polygon(line))
        # borders without a spot inside are dust or marks on the slide
        if border.area >= (2 * pitch_um) ** 2 and shapely.contains_xy(border, *spots.xy.T).any():
            borders.append(np.asarray(shapely.LineString(line).simplify(_OUTLINE_UM).coords))
    return tuple(borders)
