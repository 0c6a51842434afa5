"""Factors of expression ordered by how smooth they are over the tissue, each kriged at its own locations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu
from scipy.spatial import cKDTree

from histosge._runtime.types import Array, Float

from .mesh import Mesh, mesh_of

__all__ = ["Kriged", "krige", "roughness", "spatial_factors"]

# ranges in pitches, and ratios of signal to noise variance, among which the marginal likelihood chooses
_RANGES = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_RATIOS = (0.03, 0.12, 0.5, 2.0, 8.0, 32.0)
# more locations than this choose ranges and ratios by patches of the tissue
_MOST = 2500
_PATCHES = 4
_NEIGHBOURS = 6
# neighbours are at most this many pitches apart
_NEAR = 1.6
# of the largest eigenvalue: directions below are rounding errors
_RANK = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Kriged:
    """Kriged factors.

    Parameters
    ----------
    mean
        Posterior means at the locations, n × k.
    range_pitches, ratio
        Of each factor: where its correlation has fallen to about 0.14, and the variance of signal over noise.
    gain
        Of each factor: log marginal likelihood above that of noise alone.
    """

    mean: Float[np.ndarray, "n k"]
    range_pitches: Float[np.ndarray, " k"]
    ratio: Float[np.ndarray, " k"]
    gain: Float[np.ndarray, " k"]


def spatial_factors(
    values: Float[np.ndarray, "n g"],
    xy_um: Float[np.ndarray, "n 2"],
    *,
    pitch_um: float,
    number: int,
    components: int = 50,
) -> Float[np.ndarray, "n k"]:
    """Return min/max autocorrelation factors of the standardised genes (Switzer & Green 1984), the smoothest first.

    Among principal components, the linear combinations whose variance is largest against half the mean squared
    difference of neighbours. The latter is 1 in every direction: noise is the same in all factors.

    Parameters
    ----------
    values, xy_um, pitch_um
        As :meth:`histosge.domains.Method.assign` takes them.
    number
        Of factors, at most.
    components
        Principal components that are combined, at most.
    """
    from .principal_components import principal_components, standardised

    genes = standardised(values)
    if not genes.shape[1] or len(genes) < 3:
        return np.zeros((len(values), 0))
    scores = principal_components(genes, max(1, min(components, len(genes) // 20)))
    variance = scores.var(axis=0)
    scores = scores[:, variance > _RANK * variance[0]]
    left, right = _neighbours(xy_um, pitch_um)
    if len(left) <= scores.shape[1]:
        return np.asarray(scores[:, :number])
    steps = scores[left] - scores[right]
    noise, axes = np.linalg.eigh(steps.T @ steps / (2 * len(left)))
    # predictions are smooth: of directions without any difference of neighbours the ratio is undefined
    whitened = (scores @ axes) / np.sqrt(np.maximum(noise, _RANK * max(noise[-1], 1e-300)))
    order = np.linalg.eigh(whitened.T @ whitened / len(whitened))[1][:, ::-1]
    return np.asarray((whitened @ order)[:, :number])


def roughness(values: Float[np.ndarray, "n g"], xy_um: Float[np.ndarray, "n 2"], *, pitch_um: float) -> float:
    """Return half the mean squared difference of neighbours over the variance, the mean of genes: 1 for pure noise."""
    left, right = _neighbours(xy_um, pitch_um)
    variance = values.var(axis=0)
    varies = variance > _RANK * max(float(variance.max()), 1e-300)
    if not len(left) or not varies.any():
        return 1.0
    # in turn: a matrix of all differences is several times as large as the values
    share = [
        float(np.mean((values[left, gene] - values[right, gene]) ** 2)) / (2 * variance[gene])
        for gene in np.flatnonzero(varies)
    ]
    return float(np.mean(share))


def krige(factors: Float[np.ndarray, "n k"], xy_um: Float[np.ndarray, "n 2"], *, pitch_um: float) -> Kriged:
    """Return the posterior means of Gaussian processes, one a factor, at the locations themselves.

    The covariance is Matérn's of smoothness 1, held as the sparse precision of linear finite elements (Lindgren, Rue &
    Lindström 2011, eq. 10 with α = 2). Range and ratio of signal to noise of each factor are those of the largest
    marginal likelihood on a grid: a factor without noise is left as it is, one without signal becomes constant.

    Parameters
    ----------
    factors
        One column a factor.
    xy_um, pitch_um
        Positions, and the distance of neighbours.
    """
    rows = _patches(xy_um)
    part = mesh_of(xy_um[rows], pitch_um)
    chosen, gain = _choose(part, factors[rows])
    mesh = part if len(rows) == len(xy_um) else mesh_of(xy_um, pitch_um)
    mean = np.empty_like(factors)
    for length, ratio in sorted(set(chosen)):
        columns = [k for k, pair in enumerate(chosen) if pair == (length, ratio)]
        mean[:, columns] = _System.of(mesh, _prior(mesh, length), ratio).posterior(factors[:, columns])
    pairs = np.array(chosen).reshape(-1, 2)
    return Kriged(mean, pairs[:, 0], pairs[:, 1], gain=gain)


@dataclass(frozen=True, slots=True, eq=False)
class _System:
    """Equations of one range and ratio: the precision of the field given observations of unit noise."""

    mesh: Mesh
    solver: SuperLU
    nodes: int
    log_determinant: float

    @classmethod
    def of(cls, mesh: Mesh, prior: sparse.csc_matrix, ratio: float, log_prior: float = 0.0) -> _System:
        m = prior.shape[0]
        count = np.bincount(mesh.node, minlength=m).astype(float)
        solver = _factorised(prior / ratio + sparse.diags(count))
        # |ratio P Q⁻¹ Pᵀ + I| = |Q / ratio + PᵀP| / |Q / ratio|
        return cls(mesh, solver, m, _log_determinant(solver) - log_prior + m * np.log(ratio))

    def means(self, values: Array) -> Array:
        """Return the field at the locations given values, its prior mean being 0."""
        summed = np.zeros((self.nodes, values.shape[1]))
        np.add.at(summed, self.mesh.node, values)
        return np.asarray(self.solver.solve(summed)[self.mesh.node])

    def posterior(self, values: Array) -> Array:
        """Return the posterior means; the prior mean is the generalised least-squares one."""
        return self._solved(values)[0]

    def likelihood(self, values: Array) -> Array:
        """Return the log marginal likelihood of each column, noise variance profiled out, up to a constant."""
        quadratic = np.maximum(self._solved(values)[1], 1e-300)
        n = len(values)
        return np.asarray(-0.5 * (n * np.log(quadratic / n) + self.log_determinant))

    def _solved(self, values: Array) -> tuple[Array, Array]:
        columns = np.column_stack([values, np.ones(len(values))])
        field = self.means(columns)
        rest = columns - field
        mean = rest[:, -1] @ values / max(float(rest[:, -1].sum()), 1e-300)
        quadratic = ((values - mean) * (rest[:, :-1] - rest[:, -1:] * mean)).sum(axis=0)
        return field[:, :-1] + (1 - field[:, -1:]) * mean, quadratic


def _choose(mesh: Mesh, values: Array) -> tuple[list[tuple[float, float]], Array]:
    """Return range and ratio of each column, and its log likelihood above that of noise alone."""
    best = np.full(values.shape[1], -np.inf)
    chosen = [(_RANGES[0], _RATIOS[0])] * values.shape[1]
    prior, log_prior, last = None, 0.0, None
    for length, ratio in product(_RANGES, _RATIOS):
        if length != last:
            prior, last = _prior(mesh, length), length
            log_prior = _log_determinant(_factorised(prior))
        likelihood = _System.of(mesh, prior, ratio, log_prior).likelihood(values)
        for k in np.flatnonzero(likelihood > best):
            best[k], chosen[k] = likelihood[k], (length, ratio)
    noise = -0.5 * len(values) * np.log(np.maximum(values.var(axis=0), 1e-300))
    return chosen, best - noise


def _prior(mesh: Mesh, length: float) -> sparse.csc_matrix:
    """Return the precision of a field of unit variance whose correlation falls to 0.14 at ``length``."""
    # range √(8 ν) / κ with ν = 1; variance 1 / (4 π κ² τ²)
    kappa = 8**0.5 / length
    operator = sparse.diags(kappa**2 * mesh.mass) + mesh.stiffness
    return (operator @ sparse.diags(1 / mesh.mass) @ operator / (4 * np.pi * kappa**2)).tocsc()


def _factorised(matrix: sparse.spmatrix) -> SuperLU:
    # symmetric and positive definite: no pivoting, which keeps the order of least fill-in
    options = {"SymmetricMode": True}
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)


def _log_determinant(solver: SuperLU) -> float:
    return float(np.log(np.abs(solver.U.diagonal())).sum())


def _neighbours(xy_um: Array, pitch_um: float) -> tuple[Array, Array]:
    """Return pairs of neighbouring locations."""
    number = min(_NEIGHBOURS, len(xy_um) - 1)
    distance, nearest = cKDTree(xy_um).query(xy_um, k=number + 1)
    near = distance[:, 1:].ravel() < _NEAR * pitch_um
    return np.repeat(np.arange(len(xy_um)), number)[near], nearest[:, 1:].ravel()[near]


def _patches(xy_um: Array) -> Array:
    """Return all rows, or those of a few patches spread over a large tissue."""
    if len(xy_um) <= _MOST:
        return np.arange(len(xy_um))
    tree = cKDTree(xy_um)
    centres = [int(np.lexsort(xy_um.T)[0])]
    distance = np.full(len(xy_um), np.inf)
    for _ in range(_PATCHES):
        # each next centre is the location farthest from the others
        distance = np.minimum(distance, np.linalg.norm(xy_um - xy_um[centres[-1]], axis=1))
        centres.append(int(distance.argmax()))
    rows = tree.query(xy_um[centres[1:]], k=_MOST // _PATCHES)[1]
    return np.unique(rows)
