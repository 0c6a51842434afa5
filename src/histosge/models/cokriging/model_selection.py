"""How much the image says: evidence for its part of the covariance, and what remains of it when it is shuffled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from histosge._runtime.parallel import map_parts
from histosge._runtime.types import Array, Float
from histosge.prediction.calibration import skill

from .eigensolver import Answers, Spectrum, precision
from .kernels import Covariance, Sites

__all__ = ["Evidence", "choose"]

# spots that evidence is weighed on: it grows with them, the ranking does not change
_ASKED = 1000
# where there are many times more, whole neighbourhoods are asked: spots far from all others say nothing of ranges
_CROWDED, _NEIGHBOURHOODS = 5000, 4


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Which part of the covariance is the image's, and why.

    Parameters
    ----------
    share
        The part with the highest evidence.
    logs
        Log evidence of each part that was asked for, less that of the best.
    answers
        Left-out predictions of the factors on the spots asked: with the chosen part, without the image, and with
        images dealt to other spots.
    rows
        Those spots.
    """

    share: float
    logs: dict[float, float]
    answers: dict[str, Float[np.ndarray, "a f"]]
    rows: Array

    def summary(self, values: Float[np.ndarray, "n g"], loadings: Float[np.ndarray, "f g"]) -> dict[str, Any]:
        """Return plain values: the evidence, and mean left-out correlation over genes of each answer."""
        measured = values[self.rows]
        found = {
            name: float(skill(measured, answer @ loadings).mean()) for name, answer in self.answers.items()
        }
        return {
            "image_weight": self.share,
            "log_marginal_likelihood": {f"{share:g}": round(log, 2) for share, log in self.logs.items()},
            "r_loo_factors": found,
        }


def choose(
    sites: Sites,
    factors: Float[np.ndarray, "n f"],
    ranges_um: tuple[float, ...],
    shares: tuple[float, ...],
    seed: int,
    short_range_um: float | None = None,
) -> Evidence:
    """Weigh the image's part of the covariance by the evidence of all factors together.

    Parameters
    ----------
    sites
        The fitted spots.
    factors
        Their factors.
    ranges_um
        Of the position kernels.
    shares
        To choose among.
    seed
        Chooses the spots asked where there are many, and shuffles the images.
    short_range_um
        Of the covariance, see there.
    """
    rng = np.random.default_rng(seed)
    rows = _asked(sites.separated_xy_um, rng)
    asked, measured = sites.take(rows), factors[rows]
    if asked.look is None:
        shares = (0.0,)
    kernels = _Kernels.of(asked, ranges_um, short_range_um)
    answers = map_parts(lambda share: kernels.answers(measured, share), shares)
    found = dict(zip(shares, answers, strict=True))
    logs = {share: float(answers.evidence.sum()) for share, answers in found.items()}
    best = max(logs, key=lambda share: logs[share])
    told = {"fitted": found[best].left_out}
    if best > 0 and asked.look is not None:
        alone = found.get(0.0) or kernels.answers(measured, 0.0)
        told["positions"] = alone.left_out
        told["shuffled_image"] = kernels.shuffled(rng).answers(measured, best).left_out
    return Evidence(best, {share: log - logs[best] for share, log in logs.items()}, told, rows)


def _asked(xy_um: Array, rng: np.random.Generator) -> Array:
    """Return the rows of the spots asked."""
    order = rng.permutation(len(xy_um))
    if len(xy_um) <= _CROWDED:
        return np.sort(order[:_ASKED])
    from scipy.spatial import cKDTree

    centres = xy_um[order[:_NEIGHBOURHOODS]]
    return np.unique(cKDTree(xy_um).query(centres, k=_ASKED // _NEIGHBOURHOODS)[1])


@dataclass(frozen=True, slots=True, eq=False)
class _Kernels:
    """Parts of the covariance of the spots asked: by position without an image, and by image and window without it."""

    position: Float[np.ndarray, "a a"]
    image: Float[np.ndarray, "a a"]
    window: Float[np.ndarray, "a a"]

    @classmethod
    def of(cls, sites: Sites, ranges_um: tuple[float, ...], short_range_um: float | None) -> _Kernels:
        alone, seen = (Covariance.of(sites, ranges_um, share, short_range_um) for share in (0.0, 1.0))
        kind = precision(len(sites))
        return cls(
            alone.position(sites, sites, kind), seen.image(sites, sites), seen.position(sites, sites, kind)
        )

    def answers(self, factors: Array, share: float) -> Answers:
        """Return what the factors say where the image has a share of the covariance."""
        mixed = (1 - share) * self.position
        mixed += share * (self.image + self.window)
        return Spectrum.exact(mixed).answer(factors)

    def shuffled(self, rng: np.random.Generator) -> _Kernels:
        """Return the same with each image dealt to another spot."""
        order = rng.permutation(len(self.image))
        return _Kernels(self.position, self.image[np.ix_(order, order)], self.window)
