"""What a streamed fit settles before it sums over all spots: factors, covariance, inducing points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from histosge._runtime.draws import random_order
from histosge._runtime.types import Array, Float, Int
from histosge.models.base import Workers
from histosge.prediction.factored import Basis
from histosge.prediction.principal_components import axes_of_products
from histosge.section.inputs import Inputs, Samples

from .gene_statements import judged_rows
from .inducing_points import farthest_points
from .joined_transform import JoinedTransform
from .kernels import Covariance, KernelInputs
from .loadings import Shrinkage
from .microscale import Microscale
from .model_selection import sampled_rows, select_image_weight
from .nearest_spots import NearestSpots
from .posterior import FactorPosterior
from .predictor import CokrigingPredictor
from .ranges import pitch_of, resolved_pitches, target_rows, usual_ranges
from .row_blocks import in_strips
from .rows_on_disk import RowsOnDisk
from .setup import standardisation_of
from .standardise import Standardisation
from .streamed_features import streamed_features
from .streamed_values import Moments, StreamedValues, members_of

__all__ = ["SAMPLE", "Options", "StreamedPlan"]

#: spots at which everything is chosen, as many as the exact process takes at most
SAMPLE = 5000
# inducing points are spread over so many spots for each of them: nearer ones are as good
_CANDIDATES = 25


@runtime_checkable
class Options(Protocol):
    """The options of :class:`~.model.Cokriging` that a streamed fit reads."""

    @property
    def image(self) -> bool: ...  # noqa: D102

    @property
    def factors(self) -> int: ...  # noqa: D102

    @property
    def shrink_loadings(self) -> bool: ...  # noqa: D102

    @property
    def gene_weight(self) -> float: ...  # noqa: D102

    @property
    def residual_weight(self) -> float: ...  # noqa: D102

    @property
    def winsorise_sd(self) -> float | None: ...  # noqa: D102

    @property
    def output_factors(self) -> int: ...  # noqa: D102

    @property
    def ranges_pitches(self) -> tuple[float, ...] | None: ...  # noqa: D102

    @property
    def image_weights(self) -> tuple[float, ...]: ...  # noqa: D102

    @property
    def short_range_um(self) -> float | None: ...  # noqa: D102

    @property
    def support(self) -> bool: ...  # noqa: D102

    @property
    def microscale(self) -> bool: ...  # noqa: D102

    @property
    def inducing_points(self) -> int: ...  # noqa: D102
    @property
    def nearest_spots(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True, eq=False)
class StreamedPlan:
    """Everything that is settled before sums over all spots are taken.

    Parameters
    ----------
    samples
        All training spots.
    order
        Their rows, neighbours together.
    shuffled
        Their rows in a random order of their names: the first ones are a sample that does not depend on the order of
        the table.
    values, moments, axes
        Standardised expression, sums of its products, and its principal axes.
    spots, inducing
        The training spots as the covariance compares them, and those that carry the process.
    feature_transform, covariance, summary
        As in a fit that is not streamed.
    """

    samples: Samples
    order: Int[np.ndarray, " n"]
    shuffled: Int[np.ndarray, " n"]
    values: StreamedValues
    moments: Moments
    axes: Float[np.ndarray, "k g"]
    spots: KernelInputs
    inducing: KernelInputs
    feature_transform: JoinedTransform | None
    covariance: Covariance
    summary: dict[str, Any]

    @classmethod
    def of(
        cls, options: Options, samples: Samples, seed: int, workers: Workers | None = None
    ) -> StreamedPlan:
        """Standardise, find the factors and the image features, and choose the covariance on a sample of the spots."""
        inputs, sections = samples.inputs, samples.inputs.section_index
        order = in_strips(inputs.separated_xy_um, sections)
        shuffled = random_order(inputs.locations.points.ids, seed, "streamed")
        values = _values(samples, standardisation_of(samples, seed), workers)
        moments = values.moments(order)
        axes = axes_of_products(moments.products, min(options.factors, len(samples) - 1))
        pitch_um = pitch_of(inputs.separated_xy_um[target_rows(sections)])
        spots, transform = _kernel_inputs(
            options, values, inputs, axes=axes, order=order, shuffled=shuffled, pitch_um=pitch_um
        )
        shrinkage = shrinkage_of(options, moments, values.standardisation)
        lengths = _ranges_um(options, sections, pitch_um)
        rows = sampled_rows(spots.separated_xy_um, random_order(inputs.locations.points.ids, seed, "sample"))
        sampled = values.at(rows).astype(np.float64)
        selection = select_image_weight(
            spots.take(rows),
            sampled @ axes.T,
            names=inputs.locations.points.ids[rows],
            ranges_um=lengths[0],
            image_weights=options.image_weights if options.image else (0.0,),
            seed=seed,
            short_range_um=lengths[1],
        )
        return cls(
            samples,
            order,
            shuffled,
            values,
            moments,
            axes,
            spots,
            inducing=spots.take(_inducing_rows(spots, shuffled, options.inducing_points)),
            feature_transform=transform,
            covariance=selection.covariance(spots.take(sample_of(shuffled)), *lengths),
            summary=selection.summary(sampled, shrinkage, inputs.joined),
        )

    def predictor(
        self,
        basis: Basis,
        posterior: FactorPosterior,
        summary: Mapping[str, Any],
        *,
        microscale: Microscale | None,
        nearest_spots: NearestSpots | None,
    ) -> CokrigingPredictor:
        """Return the fitted predictor."""
        return CokrigingPredictor(
            basis,
            self.values.standardisation,
            posterior,
            feature_transform=self.feature_transform,
            covariance=self.covariance,
            inducing_points=self.inducing,
            fit_summary=summary,
            microscale=microscale,
            nearest_spots=nearest_spots,
        )

    @property
    def sections(self) -> Int[np.ndarray, " n"]:
        """Section of each spot."""
        return self.spots.section_index

    @property
    def judged(self) -> Int[np.ndarray, " l"]:
        """Spots that genes are judged at."""
        return judged_rows(self.sections, self.shuffled)

    def members(self, rows: Array) -> Float[np.ndarray, "b s"]:
        """Return which spots are of which section."""
        return members_of(self.sections[rows], self.number)

    @property
    def number(self) -> int:
        """How many sections there are."""
        return int(self.sections.max()) + 1


def sample_of(shuffled: Int[np.ndarray, " n"]) -> Int[np.ndarray, " l"]:
    """Return the rows of the sample: all where there are few."""
    return np.arange(len(shuffled)) if len(shuffled) <= SAMPLE else np.asarray(shuffled[:SAMPLE])


def shrinkage_of(options: Options, moments: Moments, standardisation: Standardisation) -> Shrinkage:
    """Return how loadings follow from values whose sums these are."""
    factors = min(options.factors, moments.spots - 1)
    if not options.shrink_loadings:
        return Shrinkage.none(len(moments.total), factors)
    products = moments.centred(moments.mean)
    return Shrinkage.of_products(products, moments.spots, standardisation.weight, factors)


def _values(samples: Samples, standardisation: Standardisation, workers: Workers | None) -> StreamedValues:
    """Return the values of all spots; where there are workers, they read expression from their folder."""
    expression: Any = samples.expression
    if workers is not None:
        expression = RowsOnDisk.write(workers.folder / "expression", expression)
    return StreamedValues(expression, standardisation, samples.inputs.section_index, workers=workers)


def _kernel_inputs(
    options: Options,
    values: StreamedValues,
    inputs: Inputs,
    *,
    axes: Array,
    order: Array,
    shuffled: Array,
    pitch_um: float,
) -> tuple[KernelInputs, JoinedTransform | None]:
    """Return the training spots as the covariance compares them, and the transform of features."""
    xy_um, sections = np.array(inputs.locations.xy), inputs.section_index
    # disks that are wider than the pitch would overlap
    diameter_um = min(float(inputs.locations.points.diameter_um), pitch_um) if options.support else 0.0
    if not options.image:
        return KernelInputs(xy_um, sections, diameter_um), None
    sample = sample_of(shuffled)
    factors = values.at(sample).astype(np.float64) @ axes.T
    transform, features = streamed_features(inputs, sample, order=order, pitch_um=pitch_um, factors=factors)
    return KernelInputs(xy_um, sections, diameter_um, features), transform


def _ranges_um(options: Options, sections: Array, pitch_um: float) -> tuple[tuple[float, ...], float | None]:
    """Return the ranges of the position kernels and of the short-range kernel, in µm."""
    resolved = 0.0
    if len(sections) > options.inducing_points:
        resolved = resolved_pitches(len(sections), options.inducing_points)
    ranges = options.ranges_pitches or usual_ranges(sections, resolved)
    short_range_um = options.short_range_um and max(options.short_range_um, pitch_um * resolved)
    return tuple(pitch_um * length for length in ranges), short_range_um


def _inducing_rows(spots: KernelInputs, shuffled: Array, number: int) -> Array:
    """Return the spots that carry the process, spread evenly."""
    if len(spots) <= number:
        return np.arange(len(spots))
    # on a lattice many spots are equally far: where a sample is drawn, names decide between them
    few = len(spots) <= SAMPLE
    candidates = np.arange(len(spots)) if few else shuffled[: _CANDIDATES * number]
    return np.asarray(candidates[farthest_points(spots.separated_xy_um[candidates], number)])
