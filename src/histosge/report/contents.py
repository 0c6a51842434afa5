"""What a report shows, gathered from the folder of a run and, where it is at hand, its section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.geometry.points import Points
from histosge.images.slide import SlideImage
from histosge.images.tissue import TissueMask
from histosge.prediction.factored import FactoredPrediction
from histosge.prediction.prediction import Prediction
from histosge.section.section import Section

from . import folder as folders
from .labels import Labels, labels_in
from .measured import Measured

__all__ = ["Contents", "collect"]

# the outline is drawn, not measured on
_OUTLINE_UM = 4.0
_MOST_LINES = 400


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """All that the page is made of.

    Parameters
    ----------
    record
        ``run.json``.
    prediction
        Factors, or a matrix of those genes that a page has room for.
    predicted
        How many genes the run predicted.
    measured
        What was measured, or ``None`` where nobody has it.
    slide
        The image, or ``None``.
    whole
        Whether the image is the one the run looked at, rather than the smaller copy in the folder.
    mpp
        µm per pixel of the full-resolution image.
    outline
        Borders of the tissue in µm.
    labels
        Domains.
    scores
        ``scores.json``, where there is one.
    """

    record: Mapping[str, Any]
    prediction: FactoredPrediction | Prediction
    predicted: int
    measured: Measured | None
    slide: SlideImage | None
    whole: bool
    mpp: float
    outline: tuple[Float[np.ndarray, "m 2"], ...]
    labels: tuple[Labels, ...]
    scores: Mapping[str, Any] | None

    @property
    def image_alone(self) -> bool:
        """Whether nothing of the section was measured."""
        return not self.record["section"].get("measured", True)

    @property
    def pitch_um(self) -> float:
        """Distance between measured spots."""
        return float(self.record["section"].get("pitch_um") or 100.0)


def collect(folder: Path, *, section: Section | None = None) -> Contents:
    """Gather what the folder of a run holds; the section adds the image in its own resolution and all counts.

    Raises
    ------
    UsageError
        When the folder holds no run, or the section is another one than the run's.
    DataError
        When its files are damaged.
    """
    record = folders.record(folder)
    _refuse_other(record, section, folder)
    held = folders.held(folder, record)
    measured, slide, mpp = held.measured, held.slide, held.mpp
    if section is not None:
        slide, mpp = section.slide, section.mpp
        measured = Measured.of(section, held.prediction.genes) if section.has_counts else None
    places = held.prediction.locations.points
    spots = places if measured is None else measured.spots
    pitch_um = float(record["section"].get("pitch_um") or 100.0)
    return Contents(
        record,
        held.prediction,
        held.predicted,
        measured,
        slide,
        section is not None,
        mpp,
        _outline(slide, spots, pitch_um),
        labels_in(folder, places.ids, spots.ids),
        folders.scores(folder),
    )


def _refuse_other(record: Mapping[str, Any], section: Section | None, folder: Path) -> None:
    made_from = record["section"].get("fingerprint")
    if section is not None and made_from is not None and made_from != section.fingerprint:
        raise UsageError(
            f"The run in '{folder}' was made from other data or another image than section '{section.name}'. "
            "Give the section, and the --image, that the run was given."
        )


def _outline(slide: SlideImage | None, spots: Points, pitch_um: float) -> tuple[Array, ...]:
    """Return the borders of the tissue, the longest first, with no more corners than an eye can see."""
    import shapely

    mask = TissueMask.from_points(spots, pitch_um) if slide is None else TissueMask.from_slide(slide)
    lines = sorted((line for line in mask.outline() if len(line) > 3), key=len, reverse=True)[:_MOST_LINES]
    found = []
    for line in lines:
        border = shapely.make_valid(shapely.Polygon(line))
        # what surrounds no spot is dust, or the frame's marks
        if border.area >= (2 * pitch_um) ** 2 and shapely.contains_xy(border, *spots.xy.T).any():
            found.append(np.asarray(shapely.LineString(line).simplify(_OUTLINE_UM).coords))
    return tuple(found)
