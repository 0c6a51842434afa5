"""The platform's lattice of spots: an affine map between lattice positions and µm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from histosge._runtime.types import Array, Float, frozen
from histosge.errors import DataError
from histosge.geometry.spacing import median_spacing_um

__all__ = ["Lattice", "is_visium", "pitch_px"]

_WORST_RESIDUAL = (
    0.25  # of the pitch; positions further from their lattice point do not belong to this lattice
)
# stages of old scanners are up to 7° from square (the interlaced arrays of Ståhl et al. 2016)
_ANGLE_TOLERANCE_DEG = 8.0
_LENGTH_TOLERANCE = 0.08


# spots above which a part of them tells the lattice
_MANY = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """An affine lattice.

    Parameters
    ----------
    kind
        ``"hexagonal"`` (Visium), ``"square"`` (legacy ST, Visium HD) or ``"oblique"`` (anything else).
    origin_um
        Where lattice position (0, 0) lies.
    step_um
        Row 0: the µm vector of one lattice column; row 1: of one lattice row.
    basis
        Primitive vectors a, b of the occupied lattice points, in lattice (column, row): (2, 0) and (1, 1) for Visium.
    residual_um
        Root mean square distance of the spots from their lattice points.
    """

    kind: Literal["hexagonal", "square", "oblique"]
    origin_um: Float[np.ndarray, " 2"]
    step_um: Float[np.ndarray, "2 2"]
    basis: Float[np.ndarray, "2 2"]
    residual_um: float = 0.0

    def __post_init__(self) -> None:
        for name in ("origin_um", "step_um", "basis"):
            object.__setattr__(self, name, frozen(np.array(getattr(self, name), dtype=np.float64)))
        if abs(np.linalg.det(self.step_um)) < 1e-12:
            raise DataError(
                "Expected spots spread over an area, got spots on a line. A lattice needs two directions."
            )

    @property
    def basis_um(self) -> Float[np.ndarray, "2 2"]:
        """The primitive vectors a, b in µm."""
        return np.asarray(self.basis @ self.step_um)

    @property
    def pitch_um(self) -> float:
        """Mean distance between neighbours in µm: over a and b, and b − a where that is as short (hexagonal)."""
        a, b = self.basis_um
        near = [a, b, b - a] if self.kind == "hexagonal" else [a, b]
        return float(np.mean([np.linalg.norm(vector) for vector in near]))

    def to_um(self, lattice_xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Return the µm positions of (fractional) lattice positions."""
        return np.asarray(self.origin_um + lattice_xy @ self.step_um)

    def to_lattice(self, xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Return the fractional lattice positions of µm positions."""
        return np.asarray((xy_um - self.origin_um) @ np.linalg.inv(self.step_um))

    def array_neighbours_um(self) -> Float[np.ndarray, "k 2"]:
        """Return the vectors to the positions whose column and row differ by at most one: 8, and 4 on Visium.

        Visium's array has a spot in every second column of a row, so that the two neighbours in the same row are two
        columns away.

        Examples
        --------
        >>> import numpy as np
        >>> column, row = np.meshgrid(np.arange(4), np.arange(4))
        >>> lattice_xy = np.column_stack([(2 * column + row % 2).ravel(), row.ravel()]).astype(float)
        >>> len(Lattice.fit(lattice_xy * (50.0, 86.6), lattice_xy).array_neighbours_um())
        4
        """
        near = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y])
        counts = near @ np.linalg.inv(self.basis)
        return np.asarray(near[np.abs(counts - np.rint(counts)).max(axis=1) < 1e-6] @ self.step_um)

    @classmethod
    def fit(
        cls,
        xy_um: Float[np.ndarray, "n 2"],
        lattice_xy: Float[np.ndarray, "n 2"] | None = None,
        *,
        kind: Literal["hexagonal", "square", "oblique"] | None = None,
    ) -> Lattice:
        """Fit the affine map by least squares; rotation, mirror image and unequal steps are all allowed.

        Parameters
        ----------
        xy_um
            Positions of the spots.
        lattice_xy
            Their (column, row) on the platform's array; ``None`` infers them from the positions.
        kind
            The kind expected; ``None`` takes that of the fitted vectors.

        Raises
        ------
        DataError
            For fewer than 3 spots, spots on a line, or spots further than a quarter of the pitch from their lattice
            points (root mean square): positions and lattice do not belong together.

        Examples
        --------
        >>> import numpy as np
        >>> xy_um = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [100.0, 100.0]])
        >>> lattice = Lattice.fit(xy_um, xy_um / 100)
        >>> lattice.kind, round(lattice.pitch_um)
        ('square', 100)
        """
        if len(xy_um) < 3:
            raise DataError(f"Expected at least 3 spots to fit a lattice, got {len(xy_um)}.")
        if not np.isfinite(xy_um).all() or not (lattice_xy is None or np.isfinite(lattice_xy).all()):
            raise DataError(
                "Expected finite positions of the spots, got NaN or infinity. Check the positions file."
            )
        if lattice_xy is None:
            lattice_xy = lattice_indices(xy_um)
        # affine least squares: xy = origin + lattice_xy · step
        design = np.column_stack([np.ones(len(xy_um)), lattice_xy])
        coefficients, _, rank, _ = np.linalg.lstsq(design, xy_um, rcond=None)
        if rank < 3 or _flat(coefficients[1:]):
            raise DataError(
                "Expected spots spread over an area, got spots on a line or at one point. Check the positions file."
            )
        residual = float(np.sqrt(((design @ coefficients - xy_um) ** 2).sum(1).mean()))
        basis = _reduced(_primitive_vectors(lattice_xy), coefficients[1:])
        fitted_kind = _kind(basis @ coefficients[1:])
        fitted = cls(kind or fitted_kind, coefficients[0], coefficients[1:], basis, residual_um=residual)
        if residual > _WORST_RESIDUAL * fitted.pitch_um:
            raise DataError(
                f"The spots lie {residual:.0f} µm from their points on the array (pitch {fitted.pitch_um:.0f} µm). "
                "Positions and array coordinates do not belong together; check the positions file."
            )
        return fitted


def is_visium(xy: Float[np.ndarray, "n 2"], lattice_xy: Float[np.ndarray, "n 2"] | None) -> bool:
    """Return whether spots have Visium's array: column + row is even everywhere, and neighbours form hexagons.

    Even column + row alone also describes the interlaced square arrays of legacy ST.
    """
    if lattice_xy is None or not ((lattice_xy.sum(axis=1) % 2) == 0).all():
        return False
    try:
        return Lattice.fit(xy, lattice_xy).kind == "hexagonal"
    except DataError:
        # too few spots to tell, or positions that the checks of the reader refuse
        return True


def _flat(step_um: Array) -> bool:
    """Return whether the steps of a map span no area."""
    size = float((step_um**2).sum())
    return size == 0 or abs(float(np.linalg.det(step_um))) < 1e-6 * size


def pitch_px(xy_px: Float[np.ndarray, "n 2"], lattice_xy: Float[np.ndarray, "n 2"]) -> float:
    """Return the distance between neighbouring spots in the unit of ``xy_px``; readers derive µm per pixel from it."""
    return Lattice.fit(xy_px, lattice_xy).pitch_um


def lattice_indices(xy_um: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Return integer lattice positions inferred from positions alone.

    The two shortest independent vectors between neighbours, averaged over all pairs that share them, span the
    lattice; positions are then rounded onto it.

    Raises
    ------
    DataError
        When the vectors between neighbours do not repeat: the points are on no lattice.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(xy_um)
    reach = median_spacing_um(xy_um)
    if reach <= 0:
        raise DataError(
            "Expected spots at different positions, got several at the same. Check their positions."
        )
    # 1.3: neighbours of the hexagonal and the square lattice, but not the diagonal (1.41)
    pairs = tree.query_pairs(1.3 * reach, output_type="ndarray")
    vectors = xy_um[pairs[:, 1]] - xy_um[pairs[:, 0]]
    # a vector and its opposite count as the same direction
    vectors[(vectors[:, 0] < -1e-9) | ((np.abs(vectors[:, 0]) <= 1e-9) & (vectors[:, 1] < 0))] *= -1
    first = _mode(vectors, reach)
    # the second vector must not be parallel to the first
    sine = np.abs(vectors @ np.array([-first[1], first[0]])) / (reach * np.linalg.norm(first))
    if not (sine > 0.5).any():
        raise DataError("Expected spots spread over an area, got spots on a line. Check their positions.")
    step = np.array([first, _mode(vectors[sine > 0.5], reach)])
    index = np.rint((xy_um - xy_um[0]) @ np.linalg.inv(step))
    return np.asarray(index - index.min(0))


def _mode(vectors: Array, reach: float) -> Array:
    """Return the mean of the vectors around the one with the most neighbours."""
    from scipy.spatial import cKDTree

    tree = cKDTree(vectors)
    # a subset of the centres is enough to locate the densest cluster
    sample = vectors[:: max(1, len(vectors) // 500)]
    clusters = tree.query_ball_point(sample, 0.2 * reach)
    largest = max(clusters, key=len)
    if len(largest) < 0.15 * len(vectors):
        raise DataError("Expected spots on a lattice, got irregular positions.")
    return np.asarray(vectors[largest].mean(0))


def _primitive_vectors(lattice_xy: Array) -> Array:
    """Return two integer vectors that span all differences between lattice points (Hermite normal form).

    Visium occupies every second column of each row: differences are spanned by (2, 0) and (1, 1), not by (1, 0).
    """
    differences = np.unique(np.rint(lattice_xy - lattice_xy[0]).astype(np.int64), axis=0)
    if len(differences) <= _MANY:
        return _spanning(differences)
    # a part of very many bins spans all of them; those that it does not are added
    basis = _spanning(differences[:: len(differences) // (_MANY // 4)])
    within = differences @ np.linalg.inv(basis)
    left = np.abs(within - np.rint(within)).max(axis=1) > 1e-6
    return _spanning(np.concatenate([basis.astype(np.int64), differences[left]])) if left.any() else basis


def _spanning(differences: Array) -> Array:
    """Return two vectors that span the differences."""
    # rows of the Hermite normal form: `low` lies along a row, `high` leads to another row
    low, high = np.zeros(2, dtype=np.int64), np.zeros(2, dtype=np.int64)  # high: the one with a y component
    for difference in differences:
        vector = difference
        while vector[1] != 0:  # Euclid on the second component
            high, vector = (
                vector,
                high - (high[1] // vector[1]) * vector if high[1] else np.zeros(2, dtype=np.int64),
            )
        low = np.array([np.gcd(low[0], vector[0]), 0])
    if high[1] == 0 or low[0] == 0:
        raise DataError(
            "Expected spots spread over an area, got spots on a line of the array. Check its columns."
        )
    return np.array([low, high], dtype=np.float64)


def _reduced(basis: Array, step_um: Array) -> Array:
    """Return the shortest basis (Gauss reduction in µm), a along the rows, b at 60° or 90° from it."""
    a, b = basis
    while True:
        a_um, b_um = a @ step_um, b @ step_um
        # the relative tolerance ends the loop for vectors of equal length
        if b_um @ b_um < a_um @ a_um - 1e-9 * (a_um @ a_um):
            a, b = b, a
            continue
        share = (a_um @ b_um) / (a_um @ a_um)
        # hexagons have a share of a half: without the tolerance, rounding may ask for b - a and b + a for ever
        if abs(share) < 0.5 + 1e-9:
            break
        b = b - np.rint(share) * a
    return _oriented(a, b, step_um)


def _oriented(a: Array, b: Array, step_um: Array) -> Array:
    """Choose, among equally short vectors, a as the one within a row and b as the one at an acute angle to it.

    The offset tables rely on the angle from a to b being 60° (hexagonal) or 90° (square).
    """
    shortest = np.linalg.norm(a @ step_um)
    candidates = [a, b, b - a, a + b]
    near = [v for v in candidates if np.linalg.norm(v @ step_um) < (1 + 2 * _LENGTH_TOLERANCE) * shortest]
    within_row = min(near, key=lambda v: (abs(v[1]), abs(v[0])))
    first = within_row if (within_row[0], within_row[1]) > (0, 0) else -within_row
    others = [
        sign * v for v in candidates for sign in (1, -1) if abs(first[0] * v[1] - first[1] * v[0]) > 1e-9
    ]
    first_um = first @ step_um

    def rank(vector: Array) -> tuple[float, bool, bool]:
        vector_um = vector @ step_um
        cosine = vector_um @ first_um / np.linalg.norm(vector_um) / np.linalg.norm(first_um)
        # short; then at an acute or right angle; then towards larger rows
        return round(float(np.linalg.norm(vector_um) / shortest), 1), bool(cosine < -0.1), bool(vector[1] < 0)

    return np.array([first, min(others, key=rank)])


def _kind(basis_um: Array) -> Literal["hexagonal", "square", "oblique"]:
    """Return the kind of lattice that a reduced basis spans."""
    lengths = np.linalg.norm(basis_um, axis=1)
    angle = np.degrees(np.arccos(np.clip(basis_um[0] @ basis_um[1] / lengths.prod(), -1, 1)))
    if abs(lengths[1] / lengths[0] - 1) > _LENGTH_TOLERANCE:
        return "oblique"
    if abs(angle - 60) < _ANGLE_TOLERANCE_DEG:
        return "hexagonal"
    return "square" if abs(angle - 90) < _ANGLE_TOLERANCE_DEG else "oblique"
