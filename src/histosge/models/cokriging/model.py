"""Factor cokriging with histology: one Gaussian process per factor, on position and image features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError, refuse_nonpositive
from histosge.geometry.spacing import median_spacing_um
from histosge.models.base import Model, ModelCard, Needs, Runtime
from histosge.models.blocks import features_of, pieces, runs
from histosge.prediction.principal_components import principal_axes
from histosge.prediction.winsorise import WINSORISE_SD, winsorised
from histosge.section.inputs import Samples

from .eigensolver import Eigendecomposition, precision
from .folds import Folds, LeftOut, folds_of
from .gene_statements import Statements, judged_rows
from .inducing_points import evenly, farthest_points
from .joined_transform import JoinedTransform
from .kernels import Covariance, KernelInputs
from .model_selection import select_image_weight
from .posterior import FactorPosterior
from .predictor import CokrigingPredictor, attribution_of
from .standardise import Coins, Standardisation

__all__ = ["ENTRIES", "Cokriging"]

# a range shorter than this many distances between inducing points is not resolved
_RESOLVED = 1.5
# short and long range in pitches where the options leave them open: few spots do not show slow changes
_FEW_SPOTS, _FEW_RANGES, _MANY_RANGES = 1000, (2.0, 8.0), (3.0, 12.0)
# training spots of the section to predict that determine its pitch and the attribution; fewer: those of all sections
_LEAST_SPOTS = 10
_GENES_PER_BLOCK = 256
# ranges in pitches: beyond any section
_LONGEST = 1e6


@dataclass(frozen=True, slots=True)
class Cokriging(Model):
    """Factors of expression, each kriged with a covariance of position and image features.

    Equations are those of docs/method.md. Genes are standardised and weighted by reliability (Eq. 1 and 2); their
    principal components are the factors (Eq. 3). Each factor is a Gaussian process whose covariance sums Matérn
    kernels of position and kernels of the image features (Eq. 4 to 8): of the patch, of its neighbourhood, and of the
    factors that a ridge regression predicts from them. The image weight is the one of highest marginal likelihood of
    all factors together (Eq. 10); it is 0 where the image adds nothing. A part of each prediction is kriged gene by
    gene with the same covariance, because the factors do not carry everything. The result is a product of factor
    scores and loadings all the same (Eq. 15).

    Several sections: position kernels act within a section, image kernels also between sections; the factors are
    shared; every section has its own gene means and its own staining. Ranges, noise and r_loo are those of the first
    section, the one to predict, where enough of its spots are fitted.

    Parameters
    ----------
    image
        Whether to use the image; without it this is factor cokriging on positions.
    factors
        At most this many. Factors of noise are shrunk to nothing, so that more cost time only.
    gene_weight
        Weight of the gene-specific component.
    winsorise_sd
        Measurements further than this many standard deviations from their leave-one-out prediction are moved to that
        distance (three: the usual rule); ``None`` leaves them as they are.
    output_factors
        At most this many factors carry the prediction.
    ranges_pitches
        Ranges of the position kernels; ``None`` takes 2 and 8 below 1000 spots, 3 and 12 above.
    image_weights
        Candidates for the share of the image kernels in the prior variance.
    short_range_um
        Range of the short-range kernel among the image kernels. Errors of the image features are correlated within one
        patch width, and this kernel corrects them near a measured spot. The smallest patches are 55 µm wide; from 30 to
        50 µm the error between the spots of a synthetic tissue is the same to 2 %. ``None`` leaves the kernel out.
    support
        Whether a spot is a disk (block support), so that predictions of smaller locations are less blurred than the
        spots, or a point.
    exact
        Up to this many spots the process is exact; its time grows with their cube. Auxiliary sections are thinned to
        keep the first section exact.
    inducing_points
        Above, the process is carried by this many spots, spread evenly; ranges are then no shorter than they resolve.
    """

    image: bool = True
    factors: int = 30
    gene_weight: float = 0.25
    winsorise_sd: float | None = WINSORISE_SD
    output_factors: int = 64
    ranges_pitches: tuple[float, ...] | None = None
    image_weights: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    short_range_um: float | None = 40.0
    support: bool = True
    exact: int = 5000
    inducing_points: int = 2000

    card: ClassVar[ModelCard] = ModelCard(
        "cokriging",
        "Factors of expression, kriged on position and image features; "
        "gives calibrated uncertainty and the contribution of the image.",
        "rasmussen2006",
        uses_position=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # the shortest version: half image without selection, spots as points, factors only, outliers as they are
        "plain": {
            "gene_weight": 0.0,
            "image_weights": (0.5,),
            "winsorise_sd": None,
            "support": False,
            "short_range_um": None,
        },
        # without histology, for comparison
        "positions": {"image": False},
    }

    def __post_init__(self) -> None:
        refuse_nonpositive(self, "factors", "output_factors", "exact", "inducing_points")
        if not 0 <= self.gene_weight <= 1:
            raise UsageError(f"`gene_weight` must be from 0 to 1, got {self.gene_weight}.")
        if not self.image_weights or not all(0 <= weight <= 1 for weight in self.image_weights):
            raise UsageError(f"`image_weights` must be numbers from 0 to 1, got {self.image_weights}.")
        if self.winsorise_sd is not None and not self.winsorise_sd > 0:
            raise UsageError(f"`winsorise_sd` must be above 0, or none, got {self.winsorise_sd}.")
        if self.short_range_um is not None and not self.short_range_um > 0:
            raise UsageError(f"`short_range_um` must be above 0, or none, got {self.short_range_um}.")
        ranges = self.ranges_pitches
        if ranges is not None and not (ranges and all(0 < length <= _LONGEST for length in ranges)):
            raise UsageError(f"`ranges_pitches` must be positive numbers up to {_LONGEST:g}, got {ranges}.")

    @property
    def needs(self) -> Needs:
        """Image features, unless the image is switched off."""
        return Needs(features=self.image)

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> CokrigingPredictor:
        """Fit to the training spots; deterministic but for ``seed``, which splits counts and shuffles images.

        Raises
        ------
        UsageError
            For fewer than 3 spots or no genes, and for no features where the image is used.
        DataError
            For expression or depths that are not finite.
        """
        _refuse_unusable(samples)
        setup = self._select_covariance(samples, seed)
        values, loadings, spots = setup.values, setup.loadings, setup.spots
        inducing = self._inducing_points(spots)
        eigen = _decomposed(setup.covariance, spots, inducing, device=runtime.device)
        if self.winsorise_sd is not None:
            # outliers moved the factors too, which are computed again without them
            values = _winsorised(values, loadings, eigen, self.winsorise_sd)
            loadings = principal_axes(values, len(loadings))
        posterior, auxiliary_dual = FactorPosterior.solve(
            eigen,
            values,
            loadings,
            gene_weight=self.gene_weight,
            most=self.output_factors,
            auxiliary_spots=np.flatnonzero(spots.section_index != 0),
        )
        attribution = attribution_of(
            posterior.dual,
            auxiliary_dual,
            covariance=setup.covariance,
            spots=spots.take(_target_rows(spots.section_index)),
            inducing_points=inducing,
        )
        statements = self._statements(setup, values, eigen, inducing, seed=seed, device=runtime.device)
        basis, summary = statements.of(posterior, setup.samples, setup.standardisation, attribution)
        sizes = {"output_factors": len(posterior.prior_variance), "inducing_points": len(inducing)}
        return CokrigingPredictor(
            basis,
            setup.standardisation,
            posterior,
            feature_transform=setup.feature_transform,
            covariance=setup.covariance,
            inducing_points=inducing,
            fit_summary=setup.summary | summary | sizes,
        )

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> CokrigingPredictor:
        """Rebuild the predictor."""
        return CokrigingPredictor.restored(genes, arrays, summary)

    def _statements(
        self,
        setup: _Setup,
        values: Array,
        eigen: Eigendecomposition,
        inducing: KernelInputs,
        *,
        seed: int,
        device: str,
    ) -> Statements:
        """Predict spots from the others, with the image and, where it has a weight, without it."""
        sections = setup.samples.inputs.section_index
        names = setup.samples.inputs.locations.points.ids
        folds = Folds.of(values, folds_of(names, seed), len(setup.loadings))
        eigens = [eigen]
        if setup.covariance.image_weight > 0:
            covariance = setup.covariance.without_image()
            eigens.append(_decomposed(covariance, setup.spots, inducing, device=device))
        rows = judged_rows(sections)
        fits = (
            LeftOut.of(part, folds, rows=rows, sections=sections, gene_weight=self.gene_weight)
            for part in eigens
        )
        return Statements(*fits)

    def _select_covariance(self, samples: Samples, seed: int) -> _Setup:
        """Standardise, find the factors and the image features, and choose the covariance."""
        sections = samples.inputs.section_index
        standardisation = _standardisation(samples, seed)
        values = standardisation.transform(samples.expression, sections)
        loadings = principal_axes(values, min(self.factors, len(samples) - 1))
        factors = values @ loadings.T
        spots, feature_transform, pitch_um = self._kernel_inputs(samples, factors)
        ranges_um, short_range_um = self._ranges_um(sections, pitch_um)
        selection = select_image_weight(
            spots,
            factors,
            names=samples.inputs.locations.points.ids,
            ranges_um=ranges_um,
            image_weights=self.image_weights if self.image else (0.0,),
            seed=seed,
            short_range_um=short_range_um,
        )
        summary = selection.summary(values, len(loadings), samples.inputs.joined)
        # means, factors and the image weight are estimated from all spots; only the matrix is limited
        rows = self._kriged_rows(sections)
        if len(rows) < len(samples):
            samples, spots, values = samples.take(rows), spots.take(rows), values[rows]
        covariance = selection.covariance(spots, ranges_um, short_range_um)
        return _Setup(
            samples,
            standardisation,
            values=values,
            loadings=loadings,
            spots=spots,
            feature_transform=feature_transform,
            covariance=covariance,
            summary=summary,
        )

    def _kernel_inputs(
        self, samples: Samples, factors: Array
    ) -> tuple[KernelInputs, JoinedTransform | None, float]:
        """Return the training spots as the covariance compares them, the transform of features, and the pitch."""
        inputs = samples.inputs
        xy_um, sections = np.array(inputs.locations.xy), inputs.section_index
        # the pitch of the section to predict: auxiliary sections may be of another platform
        first = sections == 0
        pitch_um = _pitch_um(xy_um[first] if first.sum() >= _LEAST_SPOTS else inputs.separated_xy_um)
        # disks that are wider than the pitch would overlap
        diameter_um = min(float(inputs.locations.points.diameter_um), pitch_um) if self.support else 0.0
        if not self.image:
            return KernelInputs(xy_um, sections, diameter_um), None, pitch_um
        features = features_of(inputs, np.arange(len(samples)))
        dims = [dim for _, dim in inputs.joined]
        transform, image_features = JoinedTransform.fit(
            features, sections, xy_um, dims=dims, pitch_um=pitch_um, factors=factors
        )
        return KernelInputs(xy_um, sections, diameter_um, image_features), transform, pitch_um

    def _ranges_um(self, sections: Array, pitch_um: float) -> tuple[tuple[float, ...], float | None]:
        """Return the ranges of the position kernels and of the short-range kernel, in µm."""
        ranges, resolved = self.ranges_pitches, self._resolved_pitches(sections)
        if ranges is None:
            # auxiliary sections do not show slower changes than the largest section
            ranges = _FEW_RANGES if np.bincount(sections).max() <= _FEW_SPOTS else _MANY_RANGES
            widening = max(1.0, resolved / ranges[0])
            ranges = tuple(length * widening for length in ranges)
        short_range_um = self.short_range_um and max(self.short_range_um, pitch_um * resolved)
        return tuple(pitch_um * length for length in ranges), short_range_um

    def _is_exact(self, spots: int) -> bool:
        return spots <= max(self.exact, self.inducing_points)

    def _resolved_pitches(self, sections: Array) -> float:
        """Return the shortest range, in pitches, that the inducing points resolve; 0 where all spots carry it."""
        spots = len(self._kriged_rows(sections))
        return 0.0 if self._is_exact(spots) else _RESOLVED * (spots / self.inducing_points) ** 0.5

    def _kriged_rows(self, sections: Array) -> Array:
        """Return the spots to krige: all, or of auxiliary sections as many as leave the first one exact."""
        target, auxiliary = np.flatnonzero(sections == 0), np.flatnonzero(sections != 0)
        room = self.exact - len(target)
        if not len(target) or room <= 0 or len(auxiliary) <= room:
            return np.arange(len(sections))
        return np.concatenate([target, auxiliary[evenly(len(auxiliary), room)]])

    def _inducing_points(self, spots: KernelInputs) -> KernelInputs:
        """Return the spots that carry the process: all where it is exact."""
        if self._is_exact(len(spots)):
            return spots
        return spots.take(farthest_points(spots.separated_xy_um, self.inducing_points))


@dataclass(frozen=True, slots=True, eq=False)
class _Setup:
    """Everything that is settled before the covariance is decomposed."""

    samples: Samples
    standardisation: Standardisation
    values: Array
    loadings: Array
    spots: KernelInputs
    feature_transform: JoinedTransform | None
    covariance: Covariance
    summary: dict[str, Any]


def _standardisation(samples: Samples, seed: int) -> Standardisation:
    """Return the standardisation of the training spots, whose counts are split by the names of spots and genes."""
    coins = Coins.of(samples.inputs.locations.points.ids, samples.genes, seed)
    sections = samples.inputs.section_index
    return Standardisation.fit(samples.expression, samples.depth, sections=sections, coins=coins)


def _refuse_unusable(samples: Samples) -> None:
    if len(samples) < 3:
        raise UsageError(f"Expected at least 3 spots to fit, got {len(samples)}. Fit more spots.")
    if not len(samples.genes):
        raise UsageError("Expected at least one gene to fit, got none. Choose other `genes`.")
    for name in ("expression", "depth"):
        values = getattr(samples, name)
        if not np.isfinite(values).all():
            raise DataError(
                f"Expected finite {name}, got {int((~np.isfinite(values)).sum())} values that are not. "
                "Check the counts."
            )


def _pitch_um(xy_um: Array) -> float:
    """Return the median distance to the nearest location elsewhere; 1 where all spots are at one location."""
    positions = np.unique(xy_um, axis=0)
    return median_spacing_um(positions) if len(positions) > 1 else 1.0


def _target_rows(sections: Array) -> Array:
    """Return the spots of the section to predict; all spots where too few of it are fitted."""
    target = np.flatnonzero(sections == 0)
    return target if len(target) >= _LEAST_SPOTS else np.arange(len(sections))


def _decomposed(
    covariance: Covariance, spots: KernelInputs, inducing: KernelInputs, *, device: str
) -> Eigendecomposition:
    """Return the eigendecomposition of the covariance of the spots, exact or carried by inducing points."""
    dtype = precision(len(spots))
    matrix = np.empty((len(spots), len(inducing)), dtype=dtype)

    def compare(rows: Array) -> None:
        matrix[rows] = covariance(spots.take(rows), inducing, dtype)

    map_parts(compare, pieces(len(spots), len(inducing)))
    # the same object where the process is exact
    if inducing is spots:
        return Eigendecomposition.exact(matrix, device)
    return Eigendecomposition.nystrom(
        matrix, covariance(inducing, inducing), device, variance=covariance.variance(spots)
    )


def _winsorised(values: Array, loadings: Array, eigen: Eigendecomposition, most_sd: float) -> Array:
    """Return expression winsorised around its leave-one-out prediction by the factors, some genes at a time."""
    left_out = eigen.posterior(values @ loadings.T).left_out
    result = np.empty_like(values)

    def winsorise(genes: slice) -> None:
        result[:, genes] = winsorised(values[:, genes], left_out @ loadings[:, genes], most_sd)

    map_parts(winsorise, runs(values.shape[1], _GENES_PER_BLOCK))
    return result


ENTRIES = (Cokriging,)
