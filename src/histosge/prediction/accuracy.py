"""How well each gene is predicted where nothing was measured: estimates, bounds and grades."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float

__all__ = ["GRADES", "NO_GRADE", "RELIABLE", "UNKNOWN", "GeneAccuracy"]

#: lowest expected r of each grade, best first: the pattern is reliable; broad regions are, details less so; a trace is
GRADES = {"strong": 0.6, "fair": 0.35, "weak": 0.15}
#: grade of a gene that reaches none of them, and of one whose accuracy was not measured
NO_GRADE, UNKNOWN = "none", "unknown"
#: grades of genes of which at least broad regions of the map are reliable
RELIABLE = ("strong", "fair")
# of the genes of a grade, at least this share are expected to reach its bound
_SURE = 0.95
# and each of them at least with this probability
_LIKELY = 0.5
# half width of a 90 % interval of the normal distribution
_HALF_WIDTH = 1.6448536269514722
# fewer genes do not determine how genes differ: their estimates are not shrunk
_LEAST_GENES = 20
# correlations beyond have no finite z
_MOST_R = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class GeneAccuracy:
    """Accuracy of some genes, one entry per gene; NaN and ``"unknown"`` where it was not measured.

    Parameters
    ----------
    r
        Correlation with the measurement at spots left out.
    r_given_depth
        The same given the depth of the spots (partial correlation on log depth).
    low, high
        Bounds of a 90 % interval around ``r``.
    shrunken, shrunken_given_depth
        ``r`` and ``r_given_depth`` by empirical Bayes: the best estimate of what another measurement would show.
    grade
        ``"strong"``, ``"fair"``, ``"weak"``, ``"none"`` or ``"unknown"``, see :data:`GRADES`; by the stricter of both
        correlations.
    """

    r: Float[np.ndarray, " g"]
    r_given_depth: Float[np.ndarray, " g"]
    low: Float[np.ndarray, " g"]
    high: Float[np.ndarray, " g"]
    shrunken: Float[np.ndarray, " g"]
    shrunken_given_depth: Float[np.ndarray, " g"]
    grade: Array

    @property
    def reliable(self) -> Array:
        """Whether at least broad regions of each gene's pattern are reliable: grade strong or fair."""
        return np.asarray(np.isin(self.grade, RELIABLE))

    @classmethod
    def of(
        cls,
        r: Float[np.ndarray, " g"],
        r_given_depth: Float[np.ndarray, " g"],
        *,
        spots: int,
        variance: float = 0.0,
        common_variance: float = 0.0,
    ) -> GeneAccuracy:
        """Estimate the accuracy of genes from correlations over some spots.

        Fisher's z = artanh r is about normal with variance 1/(n − 3), and 1/(n − 4) given depth (Fisher 1921). Where
        many genes are measured, the largest r are large by chance too. Empirical Bayes moves each z towards the mean
        of all by the share of noise in their variance (Efron & Morris 1973, Eq. 21 of docs/method.md). A gene has a
        grade where it probably reaches the grade's bound: of the genes without a better grade, those of highest
        probability are taken as long as 95 % of them are expected to reach it, and each more likely does than not.

        Parameters
        ----------
        r, r_given_depth
            Of each gene; NaN where not measured.
        spots
            Number of spots they were computed from.
        variance
            Variance of z of one gene by another estimate, such as the jackknife over squares of tissue. Errors of
            neighbours are alike and not normal; it counts where it is above that of independent normal spots.
        common_variance
            Variance of z that all genes share, because they are measured at the same spots. It is no difference between
            genes, and shrinkage does not lower it: bounds are wider by it, and grades stricter.

        Examples
        --------
        Without signal, the largest of many correlations is chance, and no gene has a grade:

        >>> import numpy as np
        >>> r = np.tanh(np.random.default_rng(0).normal(0, 0.1, 1000))
        >>> accuracy = GeneAccuracy.of(r, r, spots=103)
        >>> round(float(r.max()), 2), bool(accuracy.shrunken.max() < 0.05), set(accuracy.grade.tolist())
        (0.3, True, {'none'})
        """
        r, partial = np.asarray(r, dtype=np.float64), np.asarray(r_given_depth, dtype=np.float64)
        estimated, variance = variance, max(variance, 1 / max(spots - 3, 1))
        shrunken = _Shrunken.of(r, variance, common_variance)
        shrunken_partial = _Shrunken.of(partial, max(estimated, 1 / max(spots - 4, 1)), common_variance)
        half = _HALF_WIDTH * (variance + common_variance) ** 0.5
        z = _z(r)
        return cls(
            r,
            partial,
            low=np.tanh(z - half),
            high=np.tanh(z + half),
            shrunken=np.tanh(shrunken.mean),
            shrunken_given_depth=np.tanh(shrunken_partial.mean),
            grade=_grades(shrunken, shrunken_partial),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Shrunken:
    """Posterior mean and standard deviation of Fisher's z of each gene."""

    mean: Array
    sd: Array

    @classmethod
    def of(cls, r: Array, variance: float, common_variance: float) -> _Shrunken:
        z = _z(r)
        measured = np.isfinite(z)
        kept, centre = 1.0, 0.0
        if measured.sum() >= _LEAST_GENES:
            centre = float(z[measured].mean())
            between = max(float(z[measured].var()) - variance, 0.0)
            kept = between / (between + variance)
        sd = np.where(measured, (kept * variance + common_variance) ** 0.5, np.nan)
        return cls(centre + kept * (z - centre), sd)

    def probability(self, bound: float) -> Array:
        """Return the probability that the expected r of each gene reaches a bound; 0 where it was not measured."""
        from scipy.special import ndtr

        distance = self.mean - np.arctanh(bound)
        # without any difference between genes the posterior is a point
        score = np.divide(distance, self.sd, out=np.sign(distance) * np.inf, where=self.sd > 0)
        return np.asarray(np.nan_to_num(ndtr(score)))


def _grades(plain: _Shrunken, partial: _Shrunken) -> Array:
    grade = np.full(len(plain.mean), NO_GRADE, dtype="<U7")
    for name, bound in GRADES.items():
        # genes of a better grade are sure to reach this one, and must not carry others that are not
        left = np.flatnonzero(grade == NO_GRADE)
        probability = np.minimum(plain.probability(bound), partial.probability(bound))[left]
        order = np.argsort(-probability, kind="stable")
        expected = np.cumsum(probability[order]) / np.arange(1, len(order) + 1)
        # nor must sure genes carry one that is more likely below the bound than above it
        number = min(np.searchsorted(-expected, -_SURE, side="right"), int((probability >= _LIKELY).sum()))
        grade[left[order[:number]]] = name
    grade[np.isnan(plain.mean) | np.isnan(partial.mean)] = UNKNOWN
    return grade


def _z(r: Array) -> Array:
    """Return Fisher's z."""
    return np.asarray(np.arctanh(np.clip(r, -_MOST_R, _MOST_R)))
