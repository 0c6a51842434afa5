"""What a model is given: places and what is seen there, and for fitting also what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from histosge._runtime.types import Array, Float, Int, frozen
from histosge.errors import DataError

from .locations import Locations

__all__ = ["FeatureRows", "Inputs", "PatchRows", "Samples", "joined", "unseen"]


@runtime_checkable
class FeatureRows(Protocol):
    """A matrix read by rows: a NumPy array, or one on disk that is larger than memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        ...

    def __getitem__(self, index: Any) -> Array:
        """Return rows: an integer array, a slice or a boolean mask in, float32 out."""
        ...


@runtime_checkable
class PatchRows(Protocol):
    """Windows of tissue read by rows: :class:`histosge.images.patches.PatchSource`, or several of them in a row."""

    @property
    def px(self) -> int:
        """Pixels of a side."""
        ...

    def __len__(self) -> int:
        """Return the number of places."""
        ...

    def __getitem__(self, index: Any) -> Array:
        """Read windows: an integer array, a slice or a boolean mask in, b × px × px × 3 of 8 bits out."""
        ...

    def take(self, index: Any) -> PatchRows:
        """Return those at ``index``, unread."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Places and what is seen there. There is no field for expression: a predictor cannot see the truth.

    Parameters
    ----------
    locations
        Where; carries µm, lattice positions and which spot each came from.
    features
        Encoder features, n × d, or ``None``.
    colour
        Mean R, G, B of the patch in [0, 1], n × 3 (the paper's T), or ``None``.
    patches
        The images themselves, for models that train their own network on pixels, or ``None``.
    sections
        Which section each place belongs to, where there are several: 0 is the first, which is predicted. ``None``:
        all belong to it.
    """

    locations: Locations
    features: FeatureRows | None = None
    colour: Float[np.ndarray, "n 3"] | None = None
    patches: PatchRows | None = None
    sections: Int[np.ndarray, " n"] | None = None

    def __post_init__(self) -> None:
        for name in ("features", "colour", "patches", "sections"):
            part = getattr(self, name)
            if part is not None and len(_rows(part)) != len(self.locations):
                raise DataError(f"Expected {len(self.locations)} rows of {name}, got {len(_rows(part))}.")

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def section_index(self) -> Int[np.ndarray, " n"]:
        """Which section each place belongs to."""
        return np.zeros(len(self), dtype=np.intp) if self.sections is None else self.sections

    def take(self, index: Any) -> Inputs:
        """Return the inputs at ``index``; features are read into memory, patches stay lazy."""
        return replace(
            self,
            locations=self.locations.take(index),
            features=None if self.features is None else np.asarray(self.features[index]),
            colour=None if self.colour is None else self.colour[index],
            patches=None if self.patches is None else self.patches.take(index),
            sections=None if self.sections is None else self.sections[index],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a model is fitted to: inputs and the expression measured there.

    Parameters
    ----------
    inputs
        The places of the retained spots.
    expression
        log1p(CP10k) values, n × g.
    genes
        Gene names, one a column.
    depth
        Total counts of each spot over all genes: how precisely it was measured.
    """

    inputs: Inputs
    expression: Float[np.ndarray, "n g"]
    genes: Array
    depth: Float[np.ndarray, " n"]

    def __post_init__(self) -> None:
        genes = np.asarray(self.genes, dtype=str)
        shape = (len(self.inputs), len(genes))
        if self.expression.shape != shape or self.depth.shape != shape[:1]:
            raise DataError(
                f"Expected expression {shape}, got {self.expression.shape} and depth {self.depth.shape}."
            )
        object.__setattr__(self, "expression", frozen(self.expression))
        object.__setattr__(self, "genes", frozen(genes))

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, index: Any) -> Samples:
        """Return the samples at ``index``."""
        return Samples(self.inputs.take(index), self.expression[index], self.genes, self.depth[index])


def _rows(part: Any) -> Any:
    return part if hasattr(part, "__len__") else range(part.shape[0])


# further apart than any kernel or window reaches
_APART_UM = 1e7


def joined(parts: Sequence[Inputs], apart_um: float = _APART_UM) -> Inputs:
    """Return the inputs of several sections as one.

    Each section's positions are moved ``apart_um`` further to the right: spots of different sections are no
    neighbours, whatever their coordinates say.

    Raises
    ------
    DataError
        When some have what others lack.
    """
    if len(parts) == 1:
        return parts[0]
    held = [tuple(getattr(part, name) is not None for name in _SEEN) for part in parts]
    if len(set(held)) > 1:
        raise DataError("Expected all sections to be looked at in the same way; some have no image.")
    moved = [_moved(part.locations, index, apart_um) for index, part in enumerate(parts)]
    features, colour, patches = ([getattr(part, name) for part in parts] for name in _SEEN)
    return Inputs(
        _stacked(moved),
        None if features[0] is None else np.concatenate([np.asarray(rows[:]) for rows in features]),
        None if colour[0] is None else np.concatenate(colour),
        None if patches[0] is None else _PatchesInARow(tuple(patches)),
        np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
    )


def unseen(inputs: Inputs, fitted: int, apart_um: float = _APART_UM) -> Inputs:
    """Return the inputs of a section that is none of those fitted together, of which there are ``fitted``."""
    moved = _moved(inputs.locations, fitted, apart_um)
    return replace(inputs, locations=moved, sections=np.full(len(inputs), fitted))


_SEEN = ("features", "colour", "patches")


def _moved(locations: Locations, index: int, apart_um: float) -> Locations:
    """Return the places far from those of other sections, under names of their own."""
    ids = (
        locations.points.ids if index == 0 else np.array([f"{index}/{name}" for name in locations.points.ids])
    )
    xy = locations.xy + np.array([index * apart_um, 0.0])
    return replace(locations, points=replace(locations.points, xy=xy, ids=ids))


def _stacked(parts: list[Locations]) -> Locations:
    first = parts[0].points
    points = replace(
        first,
        xy=np.concatenate([part.xy for part in parts]),
        ids=np.concatenate([part.points.ids for part in parts]),
    )
    names = ("lattice_xy", "parent", "subspot", "observed", "in_tissue")
    return Locations(points, *(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True, eq=False)
class _PatchesInARow:
    """The windows of several slides, one slide after another."""

    parts: tuple[PatchRows, ...]

    @property
    def px(self) -> int:
        return self.parts[0].px

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: Any) -> Array:
        rows = np.arange(len(self))[index]
        found = np.empty((len(rows), self.px, self.px, 3), dtype=np.uint8)
        start = 0
        for part in self.parts:
            mine = (rows >= start) & (rows < start + len(part))
            found[mine] = part[rows[mine] - start]
            start += len(part)
        return found

    def take(self, index: Any) -> PatchRows:
        rows = np.arange(len(self))[index]
        return _ChosenPatches(self, rows)


@dataclass(frozen=True, slots=True, eq=False)
class _ChosenPatches:
    """Some of the windows, in any order."""

    source: PatchRows
    rows: Array

    @property
    def px(self) -> int:
        return self.source.px

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Array:
        return self.source[self.rows[index]]

    def take(self, index: Any) -> PatchRows:
        return _ChosenPatches(self.source, self.rows[index])
