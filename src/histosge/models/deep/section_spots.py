"""The spots of a section that its locations attend to, whichever locations are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from histosge._runtime.types import Array, Float, Int
from histosge.geometry.lattice import Lattice
from histosge.section.inputs import Inputs

from .batches import Batching

__all__ = ["SectionSpots", "whole_positions"]

_PREFIX = "section_spots."
# a spot nearer than this, in µm, is the location itself
_SAME_UM = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class SectionSpots:
    """Spots that are known to a predictor: of the sections fitted, and of those that it was adapted to.

    Parameters
    ----------
    features
        What the network reads of each spot, n × d, scaled.
    xy_um
        Positions of the spots, µm.
    lattice_xy
        Positions on the lattice (column, row); NaN in a section that has none.
    sections
        Index of the section of each spot.
    window
        Which spots attend to each other: those of one number, all of one section.
    """

    features: Float[np.ndarray, "n d"]
    xy_um: Float[np.ndarray, "n 2"]
    lattice_xy: Float[np.ndarray, "n 2"]
    sections: Int[np.ndarray, " n"]
    window: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, inputs: Inputs, features: Float[np.ndarray, "n d"], batching: Batching) -> SectionSpots:
        """Return the spots at ``inputs``, divided into windows as ``batching`` divides them."""
        window = np.empty(len(inputs), dtype=np.int64)
        rows = np.arange(len(inputs))
        for number, part in enumerate(batching.windows(rows, inputs.separated_xy_um, inputs.section_index)):
            window[part] = number
        lattice_xy = np.array(inputs.locations.lattice_xy, dtype=np.float64)
        xy_um = np.array(inputs.locations.xy, dtype=np.float64)
        return cls(features, xy_um, lattice_xy, np.array(inputs.section_index, dtype=np.int64), window)

    def joined(self, others: SectionSpots) -> SectionSpots:
        """Return these spots and those of further sections; sections that are in both are those of ``others``."""
        kept = self.take(~np.isin(self.sections, others.sections))
        shifted = replace(others, window=others.window + int(self.window.max(initial=-1)) + 1)
        return SectionSpots(
            *(
                np.concatenate([getattr(kept, item.name), getattr(shifted, item.name)])
                for item in fields(self)
            )
        )

    def take(self, index: Array) -> SectionSpots:
        """Return the spots at ``index``."""
        return SectionSpots(*(getattr(self, item.name)[index] for item in fields(self)))

    def attended_from(self, inputs: Inputs) -> Iterator[tuple[Array, SectionSpots]]:
        """Yield rows of locations, ascending, and the window of spots that these attend to: the nearest spot's."""
        from scipy.spatial import cKDTree

        for section in np.unique(inputs.section_index):
            spots = self.take(self.sections == section)
            rows = np.flatnonzero(inputs.section_index == section)
            nearest = cKDTree(spots.xy_um).query(inputs.locations.xy[rows])[1]
            for number in np.unique(spots.window[nearest]):
                yield rows[spots.window[nearest] == number], spots.take(spots.window == number)

    def lattice_of(self, inputs: Inputs) -> Float[np.ndarray, "b 2"]:
        """Return lattice positions of locations of one section; of bins and cells by the lattice of the spots.

        Raises
        ------
        DataError
            Where the spots have no lattice.
        """
        lattice_xy = np.array(inputs.locations.lattice_xy, dtype=np.float64)
        unknown = ~np.isfinite(lattice_xy).all(axis=1)
        if unknown.any():
            lattice = Lattice.fit(self.xy_um, self.lattice_xy)
            lattice_xy[unknown] = lattice.to_lattice(inputs.locations.xy[unknown])
        return lattice_xy

    def at(self, xy_um: Float[np.ndarray, "b 2"]) -> Int[np.ndarray, " b"]:
        """Return the row of the spot at each location; the number of spots where there is none."""
        from scipy.spatial import cKDTree

        return np.asarray(cKDTree(self.xy_um).query(xy_um, distance_upper_bound=_SAME_UM)[1])

    def arrays(self) -> dict[str, Array]:
        """Return all that it is by name, for a fit on disk."""
        return {_PREFIX + item.name: getattr(self, item.name) for item in fields(self)}

    @staticmethod
    def are_in(arrays: Mapping[str, Array]) -> bool:
        """Return whether a fit on disk has spots."""
        return f"{_PREFIX}xy_um" in arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> SectionSpots:
        """Return what :meth:`arrays` was called on."""
        return cls(*(np.array(arrays[_PREFIX + item.name]) for item in fields(cls)))


def whole_positions(
    lattice_xy: Float[np.ndarray, "n 2"], spots_xy: Float[np.ndarray, "m 2"]
) -> Float[np.ndarray, "n 2"]:
    """Return the position of a spot, on the whole lattice, that each location is nearest to, in steps of the lattice.

    On hexagonal lattices column + row is even for all spots, or odd for all: every second whole position is none of
    theirs.

    Parameters
    ----------
    lattice_xy
        Column and row of locations, between spots too.
    spots_xy
        Those of some spots.

    Examples
    --------
    >>> visium = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0]])
    >>> whole_positions(np.array([[0.1, 0.2], [0.7, 0.1]]), visium).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    whole = np.asarray(np.rint(lattice_xy))
    parities = np.unique(np.rint(spots_xy).sum(axis=1) % 2)
    if len(parities) > 1:
        return whole
    between = np.flatnonzero(whole.sum(axis=1) % 2 != parities[0])
    # the next spot is one step further along the direction in which rounding went furthest
    rest = lattice_xy[between] - whole[between]
    along = np.abs(rest).argmax(axis=1)
    whole[between, along] += np.where(rest[np.arange(len(between)), along] < 0, -1, 1)
    return whole
