"""A fitted cokriging, ready to be asked about any place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float
from histosge.errors import DataError
from histosge.models.base import Block
from histosge.models.blocks import features_of, pieces
from histosge.prediction.attribution import Attribution
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.section.inputs import Inputs

from .image_features import Appearance, Look
from .inducing_points import evenly
from .kernels import Covariance, Sites
from .posterior import Fields
from .standardise import Standard

__all__ = ["CokrigingPredictor", "sources_of"]

# spots on which the parts of a prediction are compared
_COMPARED = 1024
_LOOK = ("own", "around", "guess")
_BASIS = ("offset", "loadings", "noise_sd", "calibration_factor", "r_loo")


@dataclass(frozen=True, slots=True, eq=False)
class CokrigingPredictor:
    """Fields, loadings, and what compares a new place with the landmarks.

    Parameters
    ----------
    basis
        Genes in terms of fields, and where these come from; its offset is that of the first section.
    standard
        The gene means of each section.
    fields
        What kriging found.
    appearance
        How places are looked at; ``None`` for cokriging on positions.
    covariance, inducing_points
        What a place is compared by, and with.
    told
        Plain values that were learnt.
    """

    basis: Basis
    standard: Standard
    fields: Fields
    appearance: Appearance | None
    covariance: Covariance
    inducing_points: Sites
    told: Mapping[str, Any]

    @property
    def genes(self) -> Array:
        """Names of the genes."""
        return self.basis.genes

    def blocks(self, inputs: Inputs) -> Iterator[Block]:
        """Predict piece by piece: means, and standard deviations of what a measurement would show."""
        loadings, calibration_factor = self.basis.loadings, self.basis.calibration_factor
        for rows in pieces(len(inputs), max(len(self.genes), len(self.inducing_points))):
            mean, sd = self._at(inputs, rows)
            offset = self.standard.means[self._section(inputs.section_index[rows])]
            variance = sd**2 @ (loadings**2).T + self.basis.noise_sd**2
            expected = np.maximum(offset + mean @ loadings.T, 0.0)
            yield (
                rows,
                expected.astype(np.float32),
                (np.sqrt(variance) * calibration_factor).astype(np.float32),
            )

    def factored(self, inputs: Inputs) -> FactoredPrediction:
        """Predict at all places of one section, kept as factors.

        Raises
        ------
        DataError
            When the places belong to several sections, whose genes have different means.
        """
        sections = np.unique(self._section(inputs.section_index))
        if len(sections) > 1:
            raise DataError(f"Expected places of one section, got {len(sections)}. Predict each by itself.")
        mean = np.empty((len(inputs), len(self.fields.variance)), dtype=np.float32)
        sd = np.empty_like(mean)

        def answer(rows: Array) -> None:
            mean[rows], sd[rows] = self._at(inputs, rows)

        map_parts(answer, pieces(len(inputs), len(self.inducing_points)))
        offset = self.standard.means[sections[0]] if len(sections) else self.basis.offset
        return FactoredPrediction(inputs.locations, replace(self.basis, offset=offset), mean, sd)

    def adapted_to(self, inputs: Inputs) -> CokrigingPredictor:
        """Return the same, having looked at places all over a section of which no spot was fitted.

        Genes' skill is not known there: it is that at left-out spots whose neighbours were fitted.

        Raises
        ------
        DataError
            When the places belong to several sections.
        """
        if self.appearance is None or not len(inputs):
            return self
        sections = np.unique(inputs.section_index)
        if len(sections) > 1:
            raise DataError(f"Expected places of one section, got {len(sections)}. Show each by itself.")
        features = np.asarray(features_of(inputs, np.arange(len(inputs))), dtype=np.float64)
        xy_um = np.array(inputs.locations.xy)
        attribution = None if self.basis.attribution is None else self.basis.attribution.as_auxiliary()
        return replace(
            self,
            basis=replace(self.basis, attribution=attribution, r_loo=np.full(len(self.basis), np.nan)),
            appearance=self.appearance.adapted_to(features, int(sections[0]), xy_um),
        )

    def left_out_scores(self) -> tuple[Float[np.ndarray, "s k"], Float[np.ndarray, "s k"]]:
        """Return mean and standard deviation of each field at each fitted spot, predicted from all others."""
        return self.fields.left_out, np.sqrt(self.fields.left_out_variance)

    def arrays(self) -> dict[str, Array]:
        """Return all that was fitted."""
        found = self.standard.arrays() | self.fields.arrays()
        found |= {f"basis.{name}": getattr(self.basis, name) for name in _BASIS}
        if self.basis.attribution is not None:
            found["basis.attribution"] = self.basis.attribution.forms
        found["inducing_points.xy_um"] = self.inducing_points.xy_um
        found["inducing_points.section_index"] = self.inducing_points.section_index
        if self.appearance is not None and self.inducing_points.look is not None:
            found |= self.appearance.arrays()
            found |= {f"landmarks.{name}": getattr(self.inducing_points.look, name) for name in _LOOK}
        return found

    def summary(self) -> dict[str, Any]:
        """Return the covariance, and what was learnt of the image's worth."""
        covariance = {
            "ranges_um": list(self.covariance.ranges_um),
            "share": self.covariance.share,
            "squares": {name: list(pair) for name, pair in self.covariance.squares.items()},
            "short_range_um": self.covariance.short_range_um,
            "diameter_um": self.inducing_points.diameter_um,
        }
        return {"covariance": covariance, **self.told}

    @classmethod
    def restored(
        cls, genes: Array, arrays: Mapping[str, Array], summary: Mapping[str, Any]
    ) -> CokrigingPredictor:
        """Rebuild the predictor from what it told."""
        held = summary["covariance"]
        squares = {name: (pair[0], pair[1]) for name, pair in held["squares"].items()}
        covariance = Covariance(tuple(held["ranges_um"]), held["share"], squares, held["short_range_um"])
        looks = f"landmarks.{_LOOK[0]}" in arrays
        look = Look(*(arrays[f"landmarks.{name}"] for name in _LOOK)) if looks else None
        basis = [arrays[f"basis.{name}"] for name in _BASIS]
        attribution = Attribution(arrays["basis.attribution"]) if "basis.attribution" in arrays else None
        return cls(
            Basis(genes, *basis, attribution=attribution),
            Standard.from_arrays(arrays),
            Fields.from_arrays(arrays),
            Appearance.from_arrays(arrays) if looks else None,
            covariance,
            Sites(
                arrays["inducing_points.xy_um"],
                arrays["inducing_points.section_index"],
                held["diameter_um"],
                look,
            ),
            {name: value for name, value in summary.items() if name != "covariance"},
        )

    def _section(self, index: Array) -> Array:
        """Return rows of the section means: the last is for sections that were not fitted."""
        last = len(self.standard.means) - 1
        return np.asarray(np.where(index < last, index, last))

    def _at(self, inputs: Inputs, rows: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of each field."""
        xy_um, sections = inputs.locations.xy[rows], inputs.section_index[rows]
        look = None
        if self.appearance is not None and self.covariance.share > 0:
            look = self.appearance.look(features_of(inputs, rows), sections, xy_um)
        diameters_um, kind = self._diameters(inputs, rows), self.fields.dual.dtype.type
        if len(sizes := np.unique(diameters_um)) == 1:
            sites = Sites(xy_um, sections, float(sizes[0]), look)
            covariance = self.covariance(sites, self.inducing_points, kind)
            return self.fields.at(covariance, self.covariance.variance(sites))
        covariance, prior = np.empty((len(rows), len(self.inducing_points)), dtype=kind), np.empty(len(rows))
        for size in sizes:
            part = np.flatnonzero(diameters_um == size)
            sites = Sites(xy_um[part], sections[part], float(size), None if look is None else look.take(part))
            covariance[part] = self.covariance(sites, self.inducing_points, kind)
            prior[part] = self.covariance.variance(sites)
        return self.fields.at(covariance, prior)

    def _diameters(self, inputs: Inputs, rows: Array) -> Array:
        """Return what each place is the average over.

        A measured spot is the spot it is. Any other place is as wide as what was asked for says (a refined lattice
        shares a spot's area, a grid's place has that of its cell, a cell is a point), and never wider than a spot.
        """
        spot_um = self.inducing_points.diameter_um
        place_um = min(float(inputs.locations.points.diameter_um), spot_um)
        return np.where(inputs.locations.observed[rows], spot_um, place_um)


def sources_of(
    dual: Float[np.ndarray, "m k"],
    lent: Float[np.ndarray, "m k"],
    covariance: Covariance,
    spots: Sites,
    inducing_points: Sites,
) -> Attribution:
    """Return where the fields come from, at some of the spots.

    A field at a place is a sum of covariances with landmarks times ``dual``, which is linear in what was measured. It
    is split by whose measurements these are, and those of the own section by kernel: position, image.

    Parameters
    ----------
    dual, lent
        Of the fields, and the part of it that is owed to measurements of other sections.
    covariance
        What places are compared by.
    spots, inducing_points
        Fitted spots of the section predicted, and what places are compared with.
    """
    some = spots.take(evenly(len(spots), _COMPARED))
    position, image = covariance.position(some, inducing_points), covariance.image(some, inducing_points)
    own = dual - lent
    return Attribution.of(np.stack([position @ own, image @ own, (position + image) @ lent]))
