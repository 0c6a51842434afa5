"""What is known of locations beyond the measured spots, by their distance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.models.base import FactoredPredictor
from histosge.prediction.factored import FactoredPrediction
from histosge.section.section import Section

from .compute import Compute
from .fitted import Fitted
from .left_out_halves import KnownAway, known_away, sampled

__all__ = ["KnownAt", "as_plain", "beyond_messages", "is_beyond", "known_by_distance", "with_error_away"]

# pitches; locations up to the first are among the spots
_EDGES = (1.01, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, np.inf)
# share of the variance of mean expression below which hardly anything is known
_HARDLY = 0.1
# locations among the spots from which the variance of the factor scores is taken
_LEAST_NEAR = 30


@dataclass(frozen=True, slots=True)
class KnownAt:
    """What is known of locations at some distance from the nearest spot.

    Parameters
    ----------
    from_um, to_um
        The distances.
    locations
        How many lie there.
    known_share
        Share of the variance of mean expression, over all genes, that the prediction explains: among the spots by its
        own posterior, beyond them at most that of halves of the section that were left out. NaN further away than these
        reach, and where no location lies among the spots, to which others are compared.
    """

    from_um: float
    to_um: float
    locations: int
    known_share: float


def is_beyond(section: Section, distance_um: Array) -> Array:
    """Return which locations lie further from their nearest spot than measured ones reach."""
    return np.asarray(distance_um > _EDGES[0] * section.pitch_um)


def with_error_away(
    factored: FactoredPrediction, fitted: Fitted, section: Section, compute: Compute = Compute()
) -> tuple[FactoredPrediction, KnownAway | None]:
    """Return a prediction whose standard deviations beyond the spots are no smaller than the errors measured there.

    The posterior supposes that the image means the same away from the spots as among them. Halves of the section are
    predicted from the others (:func:`~histosge.workflow.left_out_halves.known_away`), and the variance of every factor
    score is at least the share of its variance that was unknown at that distance. Locations among the spots stay as
    they are.

    Returns
    -------
    The prediction, and the errors by distance; ``None`` where no location lies beyond, or no standard deviation is
    known.
    """
    distance_um = factored.locations.distance_um(section.spots)
    beyond = is_beyond(section, distance_um)
    predictor = fitted.predictor
    if factored.score_sd is None or not beyond.any() or not isinstance(predictor, FactoredPredictor):
        return factored, None
    samples, genes = sampled(fitted, section, compute)
    away = known_away(
        samples,
        fitted.model,
        noise_sd=factored.basis.noise_sd[factored.basis.columns(list(fitted.genes[genes]))],
        edges_um=[edge * section.pitch_um for edge in _EDGES[1:]],
        seed=fitted.recipe.seed,
        runtime=replace(compute, progress=None).runtime(),
    )
    at_spots = predictor.factored(fitted.inputs(samples.inputs))
    total = _variance(at_spots, np.arange(len(at_spots)))
    sd = np.array(factored.score_sd)
    least = np.sqrt(away.at(distance_um[beyond])[:, None] * total)
    sd[beyond] = np.maximum(sd[beyond], least)
    return replace(factored, score_sd=sd), away


def known_by_distance(
    section: Section, factored: FactoredPrediction, away: KnownAway | None = None
) -> tuple[KnownAt, ...]:
    """Return what is known of locations by distance; empty where all lie among the spots.

    The variance of a factor score over the section is that of its means and the mean of its posterior variance, both
    where spots are near. Further away the posterior variance takes a larger part of it. Genes weigh by the squares of
    their loadings.

    Parameters
    ----------
    section, factored
        Whose spots, and what is predicted.
    away
        As :func:`with_error_away` returns it. Without it the shares are the posterior's own, which is too bold.
    """
    distance_um = factored.locations.distance_um(section.spots)
    edges = np.array([0.0, *_EDGES]) * section.pitch_um
    furthest = np.inf if away is None else max(away.furthest_um, float(edges[1]))
    edges = np.unique(np.append(edges, furthest))
    band = np.searchsorted(edges[1:], distance_um, side="left")
    if not band.any():
        return ()
    near = band == 0
    known = []
    for at in np.unique(band):
        share = np.nan if edges[at] >= furthest else _known_share(factored, band == at, near)
        reached = min(float(edges[at + 1]), float(distance_um[band == at].max()))
        known.append(KnownAt(float(edges[at]), reached, int((band == at).sum()), share))
    return tuple(known)


def _known_share(factored: FactoredPrediction, rows: Array, near: Array) -> float:
    """Return the share of the variance among the spots that the posterior variance of some locations leaves."""
    if factored.score_sd is None or near.sum() < _LEAST_NEAR:
        return float("nan")
    weight = (np.asarray(factored.basis.loadings, dtype=np.float64) ** 2).sum(axis=0)
    total = _variance(factored, near) @ weight
    if not (np.isfinite(total) and total > 0):
        return float("nan")
    left = (np.asarray(factored.score_sd[rows], dtype=np.float64) ** 2).mean(axis=0) @ weight
    return float(np.clip(1 - left / total, 0.0, 1.0))


def beyond_messages(
    section: Section, known: tuple[KnownAt, ...], away: KnownAway | None = None
) -> tuple[Message, ...]:
    """Return a warning that says how far locations lie from the spots, and what is known of them."""
    beyond = [row for row in known if row.from_um > 0]
    if not beyond:
        return ()
    number, furthest = sum(row.locations for row in beyond), max(row.to_um for row in beyond)
    text = (
        f"{number} of {sum(row.locations for row in known)} locations lie further than one pitch "
        f"({section.pitch_um:.0f} µm) from every spot, up to {furthest:.0f} µm; obs['distance_um'] holds how far. "
        "Correlations and grades of genes are those among the spots, not there. "
    )
    stated = [row for row in known if np.isfinite(row.known_share)]
    if stated:
        shares = ", ".join(f"{100 * row.known_share:.0f} % up to {row.to_um:.0f} µm" for row in stated)
        text += f"The prediction explains of the variance of mean expression {shares}. "
        hardly = [row.from_um for row in stated if row.known_share < _HARDLY]
        if hardly:
            text += f"Beyond {min(hardly):.0f} µm hardly anything is known. "
    if away is not None:
        text += _checked(away, furthest)
    text += "`histosge evaluate --split blocks` measures accuracy away from spots."
    return (Message("warning", text),)


def _checked(away: KnownAway, furthest_um: float) -> str:
    """Return from what errors away from the spots are known, and beyond which distance they are not."""
    if not len(away.to_um):
        return (
            "Halves of the section are too small to be left out, so that nothing there was checked: standard "
            "deviations are those of a prediction that has nothing to do with the truth. "
        )
    text = (
        "Standard deviations there are at least the errors of halves of the section that were predicted from the other "
        "half. "
    )
    if furthest_um > away.furthest_um:
        text += (
            f"These reach {away.furthest_um:.0f} µm; further away nothing was checked, and standard deviations are "
            "those of a prediction that has nothing to do with the truth. "
        )
    return text


def as_plain(known: tuple[KnownAt, ...]) -> list[dict[str, Any]]:
    """Return the rows as plain values for the provenance."""
    return [
        {
            "from_um": row.from_um,
            "to_um": row.to_um,
            "locations": row.locations,
            "known_share": row.known_share if np.isfinite(row.known_share) else None,
        }
        for row in known
    ]


def _variance(factored: FactoredPrediction, rows: Array) -> Array:
    """Return the variance of each factor score over some locations: of its means, and what each leaves open."""
    scores = np.asarray(factored.scores[rows], dtype=np.float64)
    sd = np.zeros(scores.shape) if factored.score_sd is None else factored.score_sd[rows]
    return np.asarray(scores.var(axis=0) + (np.asarray(sd, dtype=np.float64) ** 2).mean(axis=0))
