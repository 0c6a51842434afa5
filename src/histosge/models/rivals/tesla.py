"""TESLA's enhancement (Hu et al. 2023): inverse distance weighting in position and colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from histosge._runtime.draws import random_order
from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import Block, Crop, Model, ModelCard, Needs, Predictor, Runtime, Task
from histosge.models.blocks import pieces
from histosge.section.inputs import Inputs, Samples

from .raw_counts import fit_to_counts, restored_of_counts

__all__ = ["TESLA", "ColourAxis", "TESLAPredictor"]

# µm added to distances, so that a spot at the location has a finite weight; the original adds a tenth of a pixel
_ADDED_UM = 0.1
# distances of which the cut-off is a quantile, 16 MB; of more, those of some locations are taken
_DISTANCES = 2_000_000
_BY_LOCATIONS = "published"


@dataclass(frozen=True, slots=True)
class TESLA(Model):
    """Configuration. Nothing is trained: a prediction is the weighted mean of the nearest spots.

    Distances are in µm over x, y and z. z is the colour of a window, standardised and multiplied by the standard
    deviation of positions, so that it weighs as much as a coordinate. Windows have a size in µm here, and in pixels in
    the original.

    Parameters
    ----------
    colour
        ``"consistent"``: the same weights of channels, mean and standard deviation at spots and locations, those of the
        spots fitted. ``"published"``: at spots the plain mean of the channels, at locations their mean weighted by
        variance, each standardised by its own mean and standard deviation. z of a spot and of the same location then
        differ, and a prediction depends on which other locations are asked for.
    neighbours
        Number of spots averaged.
    power
        Weights are the ratio of distances to the power of ``-power``; a number that is not whole: exp(−ratio).
    colour_weight
        Factor on z; 0 is inverse distance weighting by position.
    far
        What a location has that no spot is near enough to: 0 for all genes, as published, or the nearest spot's values.
        Near enough is the distance within which ``neighbours`` spots lie on average.
    scale
        What is averaged: log1p(CP10k), as by every model, or log1p of raw counts and of their total, as published.
    crop_um, crop_px
        Width of the window; one of them is set. 36 µm are the original's 50 pixels on its example.

    Raises
    ------
    UsageError
        For numbers that are not positive, and for two widths or none.

    Examples
    --------
    >>> TESLA().uses_image, TESLA().joint, TESLA(colour="published").joint
    (True, False, True)
    """

    colour: Literal["consistent", "published"] = "consistent"
    neighbours: int = 10
    power: float = 2.0
    colour_weight: float = 1.0
    far: Literal["nearest", "zero"] = "nearest"
    crop_um: float | None = 36.0
    crop_px: int | None = None
    scale: Literal["cp10k", "log_counts"] = "cp10k"

    card: ClassVar[ModelCard] = ModelCard(
        "tesla",
        "Inverse distance weighting of the nearest spots in position and colour (TESLA).",
        "hu2023tesla",
        uses_position=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # 2 · 25 + 1 pixels around a superpixel of 50
        "published": {
            "colour": "published",
            "far": "zero",
            "crop_um": None,
            "crop_px": 51,
            "scale": "log_counts",
        },
    }

    def __post_init__(self) -> None:
        refuse_nonpositive(self, "neighbours")
        if not (self.power > 0 and self.colour_weight >= 0):
            raise UsageError(
                f"`power` must be positive and `colour_weight` 0 or more, got {self.power} and {self.colour_weight}. "
                "TESLA has 2 and 1."
            )
        if (self.crop_um is None) == (self.crop_px is None):
            raise UsageError(
                f"Expected one of `crop_um` and `crop_px`, got {self.crop_um} and {self.crop_px}."
            )
        refuse_nonpositive(self, "crop_um" if self.crop_px is None else "crop_px")

    @property
    def needs(self) -> Needs:
        """The mean colour of a window."""
        return Needs(colour=True, crop=Crop.of(self.crop_um, self.crop_px))

    @property
    def joint(self) -> bool:
        """Published colours and cut-off are those of the locations predicted together."""
        return self.colour == _BY_LOCATIONS

    def reason_against(self, task: Task) -> str:
        """Return that a section needs spots of its own."""
        if task != "new_section":
            return ""
        return "TESLA averages measured spots, and a section without any has none to average."

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> Predictor:
        """Store the spots with their colour.

        Raises
        ------
        UsageError
            Without colours.
        """
        if self.scale != "cp10k":
            return fit_to_counts(
                replace(self, scale="cp10k"), samples, self.scale, seed=seed, runtime=runtime
            )
        inputs = samples.inputs
        # neighbours at equal distances are chosen by this order, and not by that of the file
        order = np.lexsort((*inputs.locations.xy.T, inputs.section_index))
        ordered = inputs.take(order)
        colour = _colour(ordered)
        axis = ColourAxis.of(ordered, colour, plain=self.colour == _BY_LOCATIONS)
        xyz_um = np.column_stack([ordered.separated_xy_um, axis.z(colour) * self.colour_weight])
        cutoff = _cutoff(xyz_um, xyz_um, ordered.locations.points.ids, self.neighbours, own=True)
        expression = samples.dense_expression[order]
        return TESLAPredictor(
            self, samples.genes, xyz_um, expression, np.unique(inputs.section_index), axis, cutoff
        )

    def restore(self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]) -> Predictor:
        """Rebuild the predictor."""
        if self.scale != "cp10k":
            return restored_of_counts(replace(self, scale="cp10k"), genes, arrays, summary, self.scale)
        axis = ColourAxis(np.array(arrays["channels"]), *(float(value) for value in arrays["scale"][:3]))
        return TESLAPredictor(
            self,
            genes,
            np.array(arrays["xyz_um"]),
            np.array(arrays["expression"]),
            np.array(arrays["sections"]),
            axis,
            float(arrays["scale"][3]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class ColourAxis:
    """What makes a coordinate of colours.

    Parameters
    ----------
    channels
        Weights of red, green and blue.
    mean, sd
        By which the weighted colour is standardised.
    scale_um
        The larger standard deviation of x and y.
    """

    channels: Float[np.ndarray, " 3"]
    mean: float
    sd: float
    scale_um: float

    @classmethod
    def of(cls, inputs: Inputs, colour: Float[np.ndarray, "n 3"], *, plain: bool) -> ColourAxis:
        """Return the axis of some locations; ``plain`` weighs the channels equally, else by their variance."""
        variance = colour.var(axis=0)
        equal = plain or not variance.sum() > 0
        channels = np.full(3, 1 / 3) if equal else variance / variance.sum()
        values = colour @ channels
        xy = np.array(inputs.locations.xy)
        for section in np.unique(inputs.section_index):
            rows = inputs.section_index == section
            xy[rows] -= xy[rows].mean(axis=0)
        return cls(channels, float(values.mean()), float(values.std()), float(np.sqrt((xy**2).mean(0).max())))

    def z(self, colour: Float[np.ndarray, "b 3"]) -> Float[np.ndarray, " b"]:
        """Return the coordinate in µm; 0 where all colours were the same."""
        # equal colours differ by rounding
        if not self.sd > 1e-9:
            return np.zeros(len(colour))
        return np.asarray((colour @ self.channels - self.mean) / self.sd * self.scale_um)


@dataclass(frozen=True, slots=True, eq=False)
class TESLAPredictor:
    """The spots and their colour; see :class:`histosge.models.base.Predictor`.

    Parameters
    ----------
    model
        Configuration.
    genes
        Names of the genes.
    xyz_um
        x, y and z of the spots, in µm; sections lie side by side.
    expression
        Of the spots.
    sections
        Index of each section that has spots.
    axis
        Of the colours of the spots.
    cutoff_um
        Beyond which a spot is not averaged, from the distances of the spots.
    """

    model: TESLA
    genes: Array
    xyz_um: Float[np.ndarray, "n 3"]
    expression: Float[np.ndarray, "n g"]
    sections: Int[np.ndarray, " s"]
    axis: ColourAxis
    cutoff_um: float

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict piece by piece.

        Raises
        ------
        UsageError
            Without colours, and in a section of which no spot was fitted.
        """
        from scipy.spatial import cKDTree

        if not np.isin(inputs.section_index, self.sections).all():
            raise UsageError(
                "TESLA averages measured spots of a section, and this one has none. Use `ridge`."
            )
        if not len(inputs):
            return
        colour, axis, cutoff_um = _colour(inputs), self.axis, self.cutoff_um
        by_locations = self.model.colour == _BY_LOCATIONS
        if by_locations:
            axis = ColourAxis.of(inputs, colour, plain=False)
        xyz_um = np.column_stack([inputs.separated_xy_um, axis.z(colour) * self.model.colour_weight])
        if by_locations:
            cutoff_um = _cutoff(xyz_um, self.xyz_um, inputs.locations.points.ids, self.model.neighbours)
        tree = cKDTree(self.xyz_um)
        for rows in pieces(len(inputs), len(self.genes)):
            yield rows, self._mean(tree, xyz_um[rows], cutoff_um), None

    def _mean(self, tree: Any, xyz_um: Array, cutoff_um: float) -> Array:
        number = min(self.model.neighbours, len(self.xyz_um))
        distance_um, nearest = tree.query(xyz_um, k=range(1, number + 1))
        weights = self._weights(distance_um) * (distance_um <= cutoff_um)
        alone = weights.sum(axis=1) == 0
        if self.model.far == "nearest":
            weights[alone, 0] = 1
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
        mean = np.zeros((len(xyz_um), len(self.genes)))
        # spot by spot: b × g numbers at a time, not b × neighbours × g
        for column in range(number):
            mean += weights[:, column, None] * self.expression[nearest[:, column]]
        return mean.astype(np.float32)

    def _weights(self, distance_um: Array) -> Array:
        """Return the weights of ascending distances, before they are cut off and divided by their sum."""
        ratio = (distance_um + _ADDED_UM) / (distance_um[:, :1] + _ADDED_UM)
        power = self.model.power
        return np.asarray(ratio**-power if float(power).is_integer() else np.exp(-ratio))

    def arrays(self) -> dict[str, Array]:
        """Return the spots and the scale of colours."""
        scale = np.array([self.axis.mean, self.axis.sd, self.axis.scale_um, self.cutoff_um])
        return {
            "xyz_um": self.xyz_um,
            "expression": self.expression,
            "sections": self.sections,
            "channels": self.axis.channels,
            "scale": scale,
        }

    def summary(self) -> dict[str, Any]:
        """Return the cut-off."""
        return {"cutoff_um": self.cutoff_um}


def _colour(inputs: Inputs) -> Float[np.ndarray, "n 3"]:
    if inputs.colour is None:
        raise UsageError("TESLA needs the colour of the image, and the section has none. Give its `image`.")
    return np.asarray(inputs.colour, dtype=np.float64)


def _cutoff(locations: Array, spots: Array, ids: Array, neighbours: int, *, own: bool = False) -> float:
    """Return the quantile of the distances between locations and spots within which ``neighbours`` lie on average.

    Of very many distances, those of locations chosen by their ids. ``own``: the locations are the spots, and their
    distances to themselves do not count.
    """
    from scipy.spatial.distance import cdist

    others = len(spots) - own
    if others < 1:
        return float(np.finfo(np.float64).max)
    chosen = random_order(ids, 0, "cut-off")[: max(1, _DISTANCES // len(spots))]
    distances = cdist(locations[chosen], spots)
    if own:
        distances[np.arange(len(chosen)), chosen] = np.nan
    return float(np.nanquantile(distances, min(1.0, neighbours / others)))


ENTRIES = (TESLA,)
