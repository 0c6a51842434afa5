"""Spots of a lattice as a rectangular array: maps of genes, and values between their positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError

__all__ = ["LatticeArray", "between"]

# of a lattice position from a whole number
_TOLERANCE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class LatticeArray:
    """The rectangular array whose positions are those of a lattice.

    Columns of a hexagonal lattice as on Visium are two apart in a row; odd rows are shifted by half a step.

    Parameters
    ----------
    origin
        Smallest column and row of the lattice.
    step
        Columns and rows of the lattice from one position of the array to the next.
    parity
        0 or 1: of which rows of the array are shifted on a hexagonal lattice; −1 for a rectangular one.
    shape
        Rows and columns of the array.
    """

    origin: Int[np.ndarray, " 2"]
    step: Int[np.ndarray, " 2"]
    parity: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, lattice_xy: Float[np.ndarray, "n 2"], *, coarse: bool) -> LatticeArray:
        """Return the smallest array that holds all positions.

        Parameters
        ----------
        lattice_xy
            Column and row of each spot.
        coarse
            Whether columns and rows that no spot lies on are left out, as on a sublattice.

        Raises
        ------
        UsageError
            For positions that are no whole numbers, and for two spots at one of them.
        """
        whole = np.rint(lattice_xy).astype(int)
        if np.abs(lattice_xy - whole).max() > _TOLERANCE:
            raise UsageError(
                "Expected spots at whole columns and rows of a lattice, got some between them. Choose `model` kriging."
            )
        if len(np.unique(whole, axis=0)) < len(whole):
            raise UsageError("Two spots have the same column and row of the lattice. Choose `model` kriging.")
        origin = whole.min(axis=0)
        step = np.maximum(np.gcd.reduce(whole - origin, axis=0), 1) if coarse else np.ones(2, dtype=int)
        reduced = (whole - origin) // step
        parities = np.unique(reduced.sum(axis=1) % 2)
        bare = cls(origin, step, int(parities[0]) if len(parities) == 1 else -1, (0, 0))
        columns, rows = np.rint(bare.positions(lattice_xy)).astype(int).max(axis=0) + 1
        return cls(origin, step, bare.parity, (int(rows), int(columns)))

    @classmethod
    def from_numbers(cls, numbers: Array) -> LatticeArray:
        """Return what :attr:`numbers` was read from."""
        x, y, across, down, parity, rows, columns = (int(number) for number in numbers)
        return cls(np.array([x, y]), np.array([across, down]), parity, (rows, columns))

    @property
    def numbers(self) -> Int[np.ndarray, " 7"]:
        """All that it is, for a fit on disk."""
        return np.array([*self.origin, *self.step, self.parity, *self.shape])

    @property
    def hexagonal(self) -> bool:
        """Whether odd rows are shifted by half a step."""
        return self.parity >= 0

    @property
    def is_coarse(self) -> bool:
        """Whether it leaves out columns and rows of the lattice."""
        return bool((self.step > 1).all())

    def positions(self, lattice_xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
        """Return column and row in the array, of spots whole numbers."""
        x, y = ((lattice_xy - self.origin) / self.step).T
        if not self.hexagonal:
            return np.stack([x, y], axis=1)
        # 0 at rows that are not shifted and 1 at those that are, and linear between them
        shift = 1 - np.abs((y + self.parity) % 2 - 1)
        return np.stack([(x - shift) / 2, y], axis=1)

    def maps(
        self, lattice_xy: Float[np.ndarray, "n 2"], values: Float[np.ndarray, "n g"]
    ) -> tuple[Float[np.ndarray, "g h w"], Float[np.ndarray, "h w"]]:
        """Return a map of each column of values, 0 where there is no spot, and a map of 1 where there is one."""
        columns, rows = np.rint(self.positions(lattice_xy)).astype(int).T
        maps = np.zeros((values.shape[1], *self.shape), dtype=np.float32)
        maps[:, rows, columns] = values.T
        measured = np.zeros(self.shape, dtype=np.float32)
        measured[rows, columns] = 1
        return maps, measured


def between(maps: Float[np.ndarray, "g h w"], xy: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n g"]:
    """Return maps at positions (column, row), linear between theirs; beyond the edge those of the edge."""
    size = np.array(maps.shape[:0:-1])
    inside = np.clip(xy, 0, size - 1)
    low = np.minimum(inside.astype(int), np.maximum(size - 2, 0))
    high = np.minimum(low + 1, size - 1)
    (x, y), (left, top), (right, bottom) = (inside - low).T, low.T, high.T
    upper = maps[:, top, left] * (1 - x) + maps[:, top, right] * x
    lower = maps[:, bottom, left] * (1 - x) + maps[:, bottom, right] * x
    return np.asarray((upper * (1 - y) + lower * y).T, dtype=np.float32)
