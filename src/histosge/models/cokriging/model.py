"""Factor cokriging with histology: one Gaussian process per factor, on position and image features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import UsageError, refuse_nonpositive
from histosge.models.base import Model, ModelCard, Needs, Runtime
from histosge.prediction.principal_components import principal_axes
from histosge.prediction.winsorise import WINSORISE_SD
from histosge.section.expression import log_depth
from histosge.section.inputs import Samples

from .decompose import decomposed
from .each_section import as_first, inducing_rows, kriged_rows, rows_of
from .eigensolver import Eigendecomposition
from .folds import Folds, LeftOut, folds_of
from .gene_statements import Statements, judged_rows
from .inducing_points import evenly, farthest_points
from .kernels import KernelInputs
from .loadings import Shrinkage
from .microscale import Microscale
from .model_selection import select_image_weight
from .posterior import FactorPosterior
from .predictor import CokrigingPredictor, attribution_of
from .program_choice import choose_programs
from .ranges import resolved_pitches, target_rows, usual_ranges
from .setup import Choices, Setup, kernel_inputs, standardisation_of
from .standardise import Standardisation
from .streamed_fit import fit_streamed
from .usable import refuse_unusable
from .winsorised_values import winsorised_values

__all__ = ["ENTRIES", "Cokriging"]

# ranges in pitches, beyond any section; bytes for each spot and inducing point (`benchmarks/visium_hd.py fit`)
_LONGEST, _PAIR_BYTES = 1e6, 20.0


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
    shrink_loadings
        Whether loadings are multiplied by the share of signal in them, and an equal change of all genes is a factor
        of its own; otherwise they are principal axes as they are.
    gene_weight
        Weight of each gene kriged by itself, beside the factors.
    residual_weight
        Weight of what the factors leave of each gene, kriged by itself.
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
    microscale
        Whether bins, cells and regions in a spot are given what the spot has of its own, beyond the error of its
        molecules. Predictions at spots and on upsampled lattices never are: they stay smooth.
    exact
        Up to this many spots the process is exact; its time grows with their cube. Auxiliary sections are thinned to
        keep the first section exact.
    inducing_points
        Above, the process is carried by this many spots, spread evenly; ranges are then no shorter than they resolve.
    streamed
        Above this many spots the fit works block by block from sparse expression, in memory that does not grow with
        spots × genes (2.5 GB for 50 000 × 1000). Choices are made at 5000 spots.
    nearest_spots
        Of a streamed fit: what inducing points leave is kriged from so many spots, which 32 do no better; 0: it is not.
    """

    image: bool = True
    factors: int = 30
    shrink_loadings: bool = True
    gene_weight: float = 0.125
    residual_weight: float = 0.5
    winsorise_sd: float | None = WINSORISE_SD
    output_factors: int = 64
    ranges_pitches: tuple[float, ...] | None = None
    image_weights: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75)
    short_range_um: float | None = 40.0
    support: bool = True
    microscale: bool = True
    exact: int = 5000
    inducing_points: int = 2000
    streamed: int = 50_000
    nearest_spots: int = 16

    predicts_factors: ClassVar[bool] = True
    card: ClassVar[ModelCard] = ModelCard(
        "cokriging",
        "Factors of expression, kriged on position and image features; "
        "gives calibrated uncertainty and the contribution of the image.",
        "rasmussen2006",
        uses_position=True,
        # `python benchmarks/scale.py`: 100 000 bins × 1000 genes take 5.1 GB at their peak, without image
        bytes_per_value=24.0,
        streamed_bytes=(1.2e9, 4000.0, 3.0),
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # the shortest version: half image without selection, spots as points, factors only, outliers as they are
        "plain": {
            "gene_weight": 0.0,
            "residual_weight": 0.0,
            "shrink_loadings": False,
            "image_weights": (0.5,),
            "winsorise_sd": None,
            "support": False,
            "microscale": False,
            "short_range_um": None,
        },
        # without histology, for comparison
        "positions": {"image": False},
    }

    def __post_init__(self) -> None:
        refuse_nonpositive(self, "factors", "output_factors", "exact", "inducing_points", "streamed")
        for name in ("gene_weight", "residual_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"`{name}` must be from 0 to 1, got {getattr(self, name)}.")
        if self.nearest_spots < 0:
            raise UsageError(f"`nearest_spots` must be 0 or more, got {self.nearest_spots}.")
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
        refuse_unusable(samples)
        if self.reads_sparse(len(samples)):
            return fit_streamed(self, samples, seed=seed, runtime=runtime)
        samples = samples.dense()
        choices, sections = self._choose(samples, seed), samples.inputs.section_index
        # means, factors and the image weight are estimated from all spots; only the matrix is limited
        kriged = kriged_rows(sections, self.exact, alike=samples.alike)
        # as many spots as are kriged alike are solved exactly
        ranges = self._ranges_um(sections, choices.pitch_um, 0.0 if samples.alike else None)
        setup = choices.setup(kriged, ranges)
        return self._solved(setup, self._inducing_points(setup.spots), seed=seed, device=runtime.device)

    def fit_sections(
        self,
        samples: Samples,
        *,
        diameters_um: Sequence[float],
        seed: int = 0,
        runtime: Runtime = Runtime(),
    ) -> Iterator[CokrigingPredictor]:
        """Fit to several sections at once, and yield a predictor of each, in which it is the first section.

        Means, factors, image features and the image weight are chosen from all spots, and the loadings of the output
        factors are the same in all sections. A section is kriged from all its own spots and some of the others':
        see :mod:`.each_section`. Arguments and errors are those of :meth:`fit`, and the diameters of the spots of each
        section.
        """
        refuse_unusable(samples)
        samples = samples.dense()
        choices, number = self._choose(samples, seed), self.inducing_points
        solve = partial(self._solved, seed=seed, device=runtime.device)
        pilot = choices.setup(
            evenly(len(samples), number), self._ranges_um(samples.inputs.section_index, choices.pitch_um, 0.0)
        )
        axes = solve(pilot, pilot.spots).posterior.loadings
        for index, diameter_um in enumerate(diameters_um):
            rows = rows_of(samples.inputs.section_index, index, number)
            view = as_first(choices, index, rows, diameter_um=diameter_um if self.support else 0.0)
            sections = view.spots.section_index
            chosen = inducing_rows(view.spots, number)
            resolved = resolved_pitches(int(np.sum(sections == 0)), int(np.sum(sections[chosen] == 0)))
            resolved = 0.0 if len(chosen) == len(rows) else resolved
            setup = view.setup(np.arange(len(rows)), self._ranges_um(sections, view.pitch_um, resolved))
            inducing = setup.spots if len(chosen) == len(rows) else setup.spots.take(chosen)
            yield solve(setup, inducing, output_axes=axes)

    def _solved(
        self,
        setup: Setup,
        inducing: KernelInputs,
        *,
        seed: int,
        device: str,
        output_axes: Array | None = None,
    ) -> CokrigingPredictor:
        """Return the posterior that ``inducing`` spots carry, and what is said of each gene."""
        spots = setup.spots
        eigen = decomposed(setup.covariance, spots, inducing, device=device)
        values = winsorised_values(setup.values, setup.axes, eigen, self.winsorise_sd)
        folds, worth = self._folds(setup, values, eigen, seed)
        posterior, auxiliary_dual = FactorPosterior.solve(
            eigen,
            folds.targets,
            folds.of_all,
            gene_weight=self.gene_weight,
            residual_weight=self.residual_weight,
            most=self.output_factors,
            auxiliary_spots=np.flatnonzero(spots.section_index != 0),
            axes=output_axes,
        )
        attribution = attribution_of(
            posterior.dual,
            auxiliary_dual,
            covariance=setup.covariance,
            spots=spots.take(target_rows(spots.section_index)),
            inducing_points=inducing,
        )
        statements = self._statements(setup, folds, eigen, inducing, device=device)
        basis, stated = statements.of(posterior, setup.samples, setup.standardisation, attribution)
        return CokrigingPredictor(
            basis,
            setup.standardisation,
            posterior,
            feature_transform=setup.feature_transform,
            covariance=setup.covariance,
            inducing_points=inducing,
            fit_summary=setup.summary | worth | stated | posterior.summary(inducing),
            microscale=self._microscale(setup, values, eigen, folds, posterior.loadings),
        )

    def reads_sparse(self, spots: int) -> bool:
        """Whether a fit of so many spots is made block by block."""
        return spots > self.streamed

    def fit_bytes(self, spots: int, genes: int) -> float:
        """Return the memory that a fit needs: where it holds everything, also of spots × inducing points."""
        carried = 0 if self.reads_sparse(spots) else spots if self._is_exact(spots) else self.inducing_points
        return Model.fit_bytes(self, spots, genes) + _PAIR_BYTES * spots * carried

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> CokrigingPredictor:
        """Rebuild the predictor."""
        return CokrigingPredictor.restored(genes, arrays, summary)

    def _statements(
        self, setup: Setup, folds: Folds, eigen: Eigendecomposition, inducing: KernelInputs, *, device: str
    ) -> Statements:
        """Predict spots from the others, with the image and, where it has a weight, without it."""
        sections = setup.samples.inputs.section_index
        eigens = [eigen]
        if setup.covariance.image_weight > 0:
            covariance = setup.covariance.without_image()
            eigens.append(decomposed(covariance, setup.spots, inducing, device=device))
        judge = partial(
            LeftOut.of,
            folds=folds,
            rows=judged_rows(sections),
            sections=sections,
            gene_weight=self.gene_weight,
            residual_weight=self.residual_weight,
        )
        return Statements(*map(judge, eigens))

    def _microscale(
        self, setup: Setup, values: Array, eigen: Eigendecomposition, folds: Folds, output: Array
    ) -> Microscale | None:
        """Return what each spot has of its own, where that is asked for and spots are apart."""
        weight, spots = setup.standardisation.weight**2, setup.spots
        if not self.microscale:
            return None
        return Microscale.of(
            eigen, values, folds.of_all, spots=spots, reliability=weight, output_loadings=output
        )

    def _shrinkage(self, values: Array, standardisation: Standardisation) -> Shrinkage:
        """Return how loadings follow from values."""
        factors = min(self.factors, len(values) - 1)
        if not self.shrink_loadings:
            return Shrinkage.none(values.shape[1], factors)
        return Shrinkage.of(values, standardisation.weight, factors)

    def _folds(
        self, setup: Setup, values: Array, eigen: Eigendecomposition, seed: int
    ) -> tuple[Folds, dict[str, Any]]:
        """Return loadings that follow from values and, where these help, gene programs; and what they were worth."""
        samples, standardisation = setup.samples, setup.standardisation
        fold = folds_of(samples.inputs.locations.points.ids, seed)
        shrinkage = self._shrinkage(values, standardisation)
        if samples.programs is None or not len(samples.programs):
            return Folds.of(values, fold, shrinkage), {}
        sections = samples.inputs.section_index
        choice = choose_programs(
            shrinkage,
            samples.programs * standardisation.weight,
            values=values,
            eigen=eigen,
            fold=fold,
            sections=sections,
            rows=judged_rows(sections),
            log_depth=log_depth(samples.depth),
        )
        return Folds.of(values, fold, choice.shrinkage), {"programs": choice.summary}

    def _choose(self, samples: Samples, seed: int) -> Choices:
        """Standardise, find the factors and the image features, and choose the weight of the image."""
        sections = samples.inputs.section_index
        standardisation = standardisation_of(samples, seed)
        values = standardisation.transform(samples.expression, sections)
        axes = principal_axes(values, min(self.factors, len(samples) - 1))
        factors = values @ axes.T
        spots, feature_transform, pitch_um = kernel_inputs(
            samples, factors, image=self.image, support=self.support
        )
        ranges_um, short_range_um = self._ranges_um(sections, pitch_um, 0.0 if samples.alike else None)
        selection = select_image_weight(
            spots,
            factors,
            names=samples.inputs.locations.points.ids,
            ranges_um=ranges_um,
            image_weights=self.image_weights if self.image else (0.0,),
            seed=seed,
            short_range_um=short_range_um,
        )
        shrinkage = self._shrinkage(values, standardisation)
        return Choices(
            samples,
            standardisation,
            values=values,
            axes=axes,
            spots=spots,
            feature_transform=feature_transform,
            pitch_um=pitch_um,
            selection=selection,
            summary=selection.summary(values, shrinkage, samples.inputs.joined),
        )

    def _ranges_um(
        self, sections: Array, pitch_um: float, resolved: float | None = None
    ) -> tuple[tuple[float, ...], float | None]:
        """Return the ranges of the position kernels and of the short-range kernel, in µm."""
        if resolved is None:
            # the shortest range that the inducing points resolve; 0 where all spots carry the process
            spots = len(kriged_rows(sections, self.exact))
            resolved = 0.0 if self._is_exact(spots) else resolved_pitches(spots, self.inducing_points)
        ranges = self.ranges_pitches or usual_ranges(sections, resolved)
        short_range_um = self.short_range_um and max(self.short_range_um, pitch_um * resolved)
        return tuple(pitch_um * length for length in ranges), short_range_um

    def _is_exact(self, spots: int) -> bool:
        return spots <= max(self.exact, self.inducing_points)

    def _inducing_points(self, spots: KernelInputs) -> KernelInputs:
        """Return the spots that carry the process: all where it is exact."""
        chosen = partial(farthest_points, spots.separated_xy_um, self.inducing_points)
        return spots if self._is_exact(len(spots)) else spots.take(chosen())


ENTRIES = (Cokriging,)
