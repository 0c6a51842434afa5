"""What is known of locations beyond the measured spots, by their distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.prediction.factored import FactoredPrediction
from histosge.section.section import Section

__all__ = ["KnownAt", "as_plain", "beyond_messages", "known_by_distance"]

# pitches; locations up to the first are among the spots
_EDGES = (1.01, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, np.inf)
# share of the variance of mean expression below which hardly anything is known
_HARDLY = 0.1
# locations among the spots from which the variance of the factor scores is taken
_LEAST_NEAR = 30


@dataclass(frozen=True, slots=True)
class KnownAt:
    """What the fit itself states of locations at some distance from the nearest spot.

    Parameters
    ----------
    from_um, to_um
        The distances.
    locations
        How many lie there.
    known_share
        Share of the variance of mean expression, over all genes, that the prediction explains by its own posterior,
        which is too bold far from spots: docs/results/visium-hd.md. NaN where no location lies among the spots, to
        which others are compared.
    """

    from_um: float
    to_um: float
    locations: int
    known_share: float


def known_by_distance(section: Section, factored: FactoredPrediction) -> tuple[KnownAt, ...]:
    """Return what is known of locations by distance; empty where all lie among the spots.

    The variance of a factor score over the section is that of its means and the mean of its posterior variance, both
    where spots are near. Further away the posterior variance takes a larger part of it. Genes weigh by the squares of
    their loadings.
    """
    distance_um = factored.locations.distance_um(section.spots)
    edges = np.array([0.0, *_EDGES]) * section.pitch_um
    band = np.searchsorted(edges[1:], distance_um, side="left")
    if not band.any():
        return ()
    weight = (np.asarray(factored.basis.loadings, dtype=np.float64) ** 2).sum(axis=0)
    near = band == 0
    total = np.nan
    if factored.score_sd is not None and near.sum() >= _LEAST_NEAR:
        total = _variance(factored, near) @ weight
    known = []
    for at in np.unique(band):
        share = np.nan
        if factored.score_sd is not None and np.isfinite(total) and total > 0:
            left = (np.asarray(factored.score_sd[band == at], dtype=np.float64) ** 2).mean(axis=0) @ weight
            share = float(np.clip(1 - left / total, 0.0, 1.0))
        furthest = min(float(edges[at + 1]), float(distance_um[band == at].max()))
        known.append(KnownAt(float(edges[at]), furthest, int((band == at).sum()), share))
    return tuple(known)


def beyond_messages(section: Section, known: tuple[KnownAt, ...]) -> tuple[Message, ...]:
    """Return a warning that says how far locations lie from the spots, and what the fit states of them."""
    beyond = [row for row in known if row.from_um > 0]
    if not beyond:
        return ()
    number, furthest = sum(row.locations for row in beyond), max(row.to_um for row in beyond)
    text = (
        f"{number} of {sum(row.locations for row in known)} locations lie further than one pitch "
        f"({section.pitch_um:.0f} µm) from every spot, up to {furthest:.0f} µm; obs['distance_um'] holds how far. "
    )
    stated = [row for row in known if np.isfinite(row.known_share)]
    if stated:
        shares = ", ".join(f"{100 * row.known_share:.0f} % up to {row.to_um:.0f} µm" for row in stated)
        text += (
            f"By the fit's own statement the prediction explains of the variance of mean expression {shares}. It "
            "supposes that tissue there is like the tissue measured: take it for the most that can be known. On a "
            "section whose truth is known far less was (docs/results/visium-hd.md). "
        )
        hardly = [row.from_um for row in stated if row.known_share < _HARDLY]
        if hardly:
            text += f"Beyond {min(hardly):.0f} µm hardly anything is known. "
    text += "`histosge evaluate --split blocks` measures accuracy away from spots."
    return (Message("warning", text),)


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
