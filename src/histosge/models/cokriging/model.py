"""Factor cokriging with histology: one Gaussian process a factor, on where places are and what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError, refuse_nonpositive
from histosge.geometry.spacing import median_spacing_um
from histosge.models.base import Model, ModelCard, Needs, Runtime
from histosge.models.blocks import features_of, pieces, runs
from histosge.prediction.attribution import Attribution
from histosge.prediction.factored import Basis
from histosge.prediction.winsorise import WINSORISE_SD, winsorised
from histosge.section.inputs import Samples

from .eigensolver import Spectrum, precision
from .image_features import Appearance
from .inducing_points import evenly, spread_out
from .kernels import Covariance, Sites
from .model_selection import choose
from .posterior import Fields, basis_of
from .predictor import CokrigingPredictor, sources_of
from .standardise import Standard, principal

__all__ = ["ENTRIES", "Cokriging"]

# a range shorter than this many distances of landmarks is lost between them
_RESOLVED = 1.5
# short and long range in pitches, where nothing else is said: sections of few spots cannot show slow changes
_FEW, _FEW_RANGES, _MANY_RANGES = 1000, (2.0, 8.0), (3.0, 12.0)
# spots of a section that tell its pitch, and what its patterns are made of
_TELLING = 10
_GENES_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Cokriging(Model):
    """Factors of expression, each kriged with a covariance of position and appearance.

    Genes are standardised and weighted by reliability; their principal components are the factors. Each is a Gaussian
    process whose covariance sums Matérn kernels of position, and kernels of the image's features: at the place, in
    its surroundings, and of the factors that a ridge regression guesses from them. The image's part is chosen by the
    evidence of all factors together; where the image says nothing it is 0. A share of each prediction is kriged gene
    by gene with the same covariance, for what the factors miss. All of it stays a product of fields and loadings.

    Several sections: position kernels act within each, image kernels across; factors are shared; every section has
    its own gene means and its own staining. Ranges, noise and skill are those of the first section, the one predicted,
    where enough of it is fitted.

    Parameters
    ----------
    image
        Whether to look at the tissue image; without it this is factor cokriging on positions.
    factors
        At most this many; noise factors are shrunk to nothing, so that more cost time alone.
    gene_weight
        Part of each prediction that is kriged gene by gene.
    winsorise_sd
        Measurements further than this many standard deviations from what all other spots say are taken to be only so
        far from it (three: the usual rule); ``None`` believes each as it is.
    output_factors
        At most this many fields carry the prediction.
    ranges_pitches
        Of the position kernels; ``None`` takes 2 and 8 below 1000 spots, 3 and 12 above.
    image_weights
        Among which the evidence chooses the image's part of the covariance.
    short_range_um
        Range of a kernel of position inside the image's part: what looks say wrongly they say wrongly all over a
        window, and beside a measured spot it is corrected. The finest windows are 55 µm wide; from 30 to 50 the error
        between spots of a synthetic tissue is the same to 2 %. ``None`` leaves it out.
    support
        Whether a spot is the disk it is (predictions of smaller places are then less blurred than the spots) or a
        point.
    exact
        Up to this many spots the process is exact; time grows with their cube. Where it is further sections that make
        more, theirs are thinned to leave the first one exact.
    inducing_points
        Above, this many of the spots, spread evenly, carry it; ranges are then no shorter than these resolve.
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
        "Factors of expression, kriged on position and appearance; knows how sure it is, and what the image added.",
        "rasmussen2006",
        uses_position=True,
    )
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # few lines would do it: half image whatever the evidence, spots as points, no averaging gene by gene, outliers
        # believed
        "plain": {
            "gene_weight": 0.0,
            "image_weights": (0.5,),
            "winsorise_sd": None,
            "support": False,
            "short_range_um": None,
        },
        # histology switched off, for comparison
        "positions": {"image": False},
    }

    def __post_init__(self) -> None:
        refuse_nonpositive(self, "factors", "output_factors", "exact", "inducing_points")
        if not 0 <= self.gene_weight <= 1:
            raise UsageError(f"`gene_weight` must be from 0 to 1, got {self.gene_weight}.")
        if not self.image_weights or not all(0 <= share <= 1 for share in self.image_weights):
            raise UsageError(f"`image_weights` must be numbers from 0 to 1, got {self.image_weights}.")
        if self.winsorise_sd is not None and not self.winsorise_sd > 0:
            raise UsageError(f"`winsorise_sd` must be above 0, or none, got {self.winsorise_sd}.")
        if self.short_range_um is not None and not self.short_range_um > 0:
            raise UsageError(f"`short_range_um` must be above 0, or none, got {self.short_range_um}.")
        if self.ranges_pitches is not None and not (self.ranges_pitches and min(self.ranges_pitches) > 0):
            raise UsageError(f"`ranges_pitches` must be positive numbers, got {self.ranges_pitches}.")

    @property
    def needs(self) -> Needs:
        """Features, unless the image is switched off."""
        return Needs(features=self.image)

    def fit(self, samples: Samples, *, seed: int = 0, runtime: Runtime = Runtime()) -> CokrigingPredictor:
        """Learn from what was measured; deterministic but for ``seed``, which deals molecules and shuffles images.

        Raises
        ------
        UsageError
            For fewer than 3 spots or no genes, and without features where the image is to be looked at.
        DataError
            For expression or depths that are not finite.
        """
        _refuse(samples)
        sections = samples.inputs.section_index
        standard = Standard.fit(samples.expression, samples.depth, sections, seed)
        values = standard.encode(samples.expression, sections)
        loadings = principal(values, min(self.factors, len(samples) - 1))
        factors = values @ loadings.T
        sites, appearance, pitch_um = self._sites(samples, factors)
        ranges_um = tuple(pitch_um * length for length in self._ranges(sections))
        short_range_um = self.short_range_um and max(self.short_range_um, pitch_um * self._resolved(sections))
        shares = self.image_weights if self.image else (0.0,)
        evidence = choose(sites, factors, ranges_um, shares, seed, short_range_um)
        told = evidence.summary(values, loadings)
        kept = self._kept(sections)
        if len(kept) < len(samples):
            samples, sites = samples.take(kept), sites.take(kept)
            values, factors = values[kept], factors[kept]
        covariance = Covariance.of(sites, ranges_um, evidence.share, short_range_um)
        few = len(samples) <= max(self.exact, self.inducing_points)
        inducing_points = (
            sites if few else sites.take(spread_out(sites.separated_xy_um, self.inducing_points))
        )
        spectrum = _spectrum(covariance, sites, inducing_points, runtime.device)
        if self.winsorise_sd is not None:
            values = _pulled_in(values, spectrum.answer(factors).left_out, loadings, self.winsorise_sd)
            loadings = principal(values, len(loadings))
        own, lenders = _sides(samples.inputs.section_index)
        found, lent = Fields.solve(
            spectrum,
            values,
            loadings,
            gene_weight=self.gene_weight,
            most=self.output_factors,
            lenders=lenders,
        )
        basis, calibration = basis_of(found, samples, standard)
        sources = sources_of(found.dual, lent, covariance, sites.take(own), inducing_points)
        basis = replace(basis, attribution=sources)
        told |= _learnt(basis, sources) | {
            "output_factors": len(found.variance),
            "inducing_points": len(inducing_points),
            "calibration": calibration,
        }
        return CokrigingPredictor(basis, standard, found, appearance, covariance, inducing_points, told)

    def restore(
        self, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> CokrigingPredictor:
        """Rebuild the predictor."""
        return CokrigingPredictor.restored(genes, arrays, summary)

    def _kept(self, sections: Array) -> Array:
        """Return the spots that are kriged: all, or of other sections as many as leave the first one exact."""
        own, others = np.flatnonzero(sections == 0), np.flatnonzero(sections != 0)
        room = self.exact - len(own)
        if not len(own) or room <= 0 or len(others) <= room:
            return np.arange(len(sections))
        return np.concatenate([own, others[evenly(len(others), room)]])

    def _ranges(self, sections: Array) -> tuple[float, ...]:
        """Return the ranges of the position kernels in pitches."""
        if self.ranges_pitches is not None:
            return self.ranges_pitches
        # further sections show no slower changes
        ranges = _FEW_RANGES if np.bincount(sections).max() <= _FEW else _MANY_RANGES
        stretch = max(1.0, self._resolved(sections) / ranges[0])
        return tuple(length * stretch for length in ranges)

    def _resolved(self, sections: Array) -> float:
        """Return the shortest range, in pitches, that the landmarks resolve; 0 where all spots are."""
        spots = len(self._kept(sections))
        few = spots <= max(self.exact, self.inducing_points)
        return 0.0 if few else _RESOLVED * (spots / self.inducing_points) ** 0.5

    def _sites(self, samples: Samples, factors: Array) -> tuple[Sites, Appearance | None, float]:
        """Return the fitted spots as the covariance compares them, how looks are made, and their pitch."""
        inputs = samples.inputs
        xy_um, sections = np.array(inputs.locations.xy), inputs.section_index
        # that of the section that is predicted, where enough of it is fitted to tell
        first = sections == 0
        pitch_um = _pitch(xy_um[first] if first.sum() >= _TELLING else inputs.separated_xy_um)
        diameter_um = min(float(inputs.locations.points.diameter_um), pitch_um) if self.support else 0.0
        if not self.image:
            return Sites(xy_um, sections, diameter_um, None), None, pitch_um
        features = features_of(inputs, np.arange(len(samples)))
        appearance, look = Appearance.fit(features, sections, xy_um, pitch_um, factors)
        return Sites(xy_um, sections, diameter_um, look), appearance, pitch_um


def _sides(sections: Array) -> tuple[Array, Array]:
    """Return the spots of the section predicted, of all where too few of it are fitted, and those of other sections."""
    own = np.flatnonzero(sections == 0)
    return (own if len(own) >= _TELLING else np.arange(len(sections))), np.flatnonzero(sections != 0)


def _pulled_in(values: Array, left_out: Array, loadings: Array, most: float) -> Array:
    """Return expression no further from what left-out factors say, a few genes at a time."""
    found = np.empty_like(values)

    def pull(genes: slice) -> None:
        found[:, genes] = winsorised(values[:, genes], left_out @ loadings[:, genes], most)

    map_parts(pull, runs(values.shape[1], _GENES_AT_ONCE))
    return found


def _learnt(basis: Basis, sources: Attribution) -> dict[str, Any]:
    """Return means over genes of what they are made of and of how well they are known."""
    _, histology, auxiliary = sources.shares(basis.loadings).mean(axis=0)
    return {
        "weight_of_histology": float(histology),
        "weight_of_auxiliary": float(auxiliary),
        "r_loo": float(basis.r_loo.mean()),
    }


def _refuse(samples: Samples) -> None:
    """Say in a sentence why there is nothing to fit."""
    if len(samples) < 3:
        raise UsageError(
            f"Expected at least 3 spots to fit, got {len(samples)}. A mean of fewer says as much."
        )
    if not len(samples.genes):
        raise UsageError("Expected at least one gene to fit, got none. Choose others with --genes.")
    for name in ("expression", "depth"):
        values = getattr(samples, name)
        if not np.isfinite(values).all():
            raise DataError(
                f"Expected finite {name}, got {int((~np.isfinite(values)).sum())} values that are not. "
                "Check the counts."
            )


def _spectrum(covariance: Covariance, sites: Sites, inducing_points: Sites, device: str) -> Spectrum:
    """Return the directions of the covariance of the fitted spots, whether landmarks carry it or all of them."""
    kind = precision(len(sites))
    across = np.empty((len(sites), len(inducing_points)), dtype=kind)

    def compare(rows: Array) -> None:
        across[rows] = covariance(sites.take(rows), inducing_points, kind)

    map_parts(compare, pieces(len(sites), len(inducing_points)))
    if inducing_points is sites:
        return Spectrum.exact(across, device)
    return Spectrum.sparse(across, covariance(inducing_points, inducing_points), device)


def _pitch(xy_um: Array) -> float:
    """Return the median distance to the nearest other place; spots at one and the same place have none."""
    places = np.unique(xy_um, axis=0)
    if len(places) < 2:
        return 1.0
    return median_spacing_um(places)


ENTRIES = (Cokriging,)
