"""What a model receives: locations with their image features, and for fitting also the measured expression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy import sparse

from histosge._runtime.memory import available_bytes
from histosge._runtime.types import Array, Float, Int, frozen
from histosge.errors import DataError, UsageError

from .locations import Locations

__all__ = ["FeatureRows", "Inputs", "PatchRows", "Samples", "concatenated", "in_section", "separated"]

# ten metres between sections laid side by side: further than any neighbour search or kernel reaches
_SEPARATION_UM = 1e7
_IMAGE_FIELDS = ("features", "colour", "patches")
_LOCATION_FIELDS = ("lattice_xy", "parent", "subspot", "observed", "in_tissue")


@runtime_checkable
class FeatureRows(Protocol):
    """A matrix that is read by rows: a NumPy array, or one on disk that is larger than memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        ...

    def __getitem__(self, index: Any) -> Array:
        """Return rows: an integer array, a slice or a boolean mask in, float32 out."""
        ...


@runtime_checkable
class PatchRows(Protocol):
    """Patches that are read by rows: :class:`histosge.images.patches.Patches`, or several of them in a row."""

    @property
    def px(self) -> int:
        """Pixels along one side."""
        ...

    def __len__(self) -> int:
        """Return the number of locations."""
        ...

    def __getitem__(self, index: Any) -> Array:
        """Read patches: an integer array, a slice or a boolean mask in, b × px × px × 3 of 8 bits out."""
        ...

    def take(self, index: Any) -> PatchRows:
        """Return the patches at ``index`` without reading them."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Locations and their image features. There is no field for expression: a predictor cannot see the truth.

    Parameters
    ----------
    locations
        Positions in µm, lattice positions, and the spot that each location belongs to.
    features
        Image features of an encoder, n × d, or ``None``; of joined encoders, those of one after another.
    colour
        Mean R, G, B of the patch in [0, 1], n × 3 (the paper's T), or ``None``.
    patches
        The patches themselves, for models that train their own network on pixels, or ``None``.
    sections
        Index of the section of each location: 0 is the section to predict, 1, 2, … are auxiliary sections. ``None``:
        all locations are in section 0. Positions of different sections have nothing to do with each other.
    joined
        Name and number of features of each of the joined encoders, in their order; empty where there is one encoder.

    Raises
    ------
    DataError
        When a field has another number of rows than there are locations, or the features another number of columns
        than the joined encoders.
    """

    locations: Locations
    features: FeatureRows | None = None
    colour: Float[np.ndarray, "n 3"] | None = None
    patches: PatchRows | None = None
    sections: Int[np.ndarray, " n"] | None = None
    joined: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for name in (*_IMAGE_FIELDS, "sections"):
            part = getattr(self, name)
            if part is not None and _length(part) != len(self.locations):
                raise DataError(f"Expected {len(self.locations)} rows of {name}, got {_length(part)}.")
        columns = sum(dim for _, dim in self.joined)
        if self.features is not None and self.joined and self.features.shape[1] != columns:
            raise DataError(f"Expected {columns} features of {self.joined}, got {self.features.shape[1]}.")

    def __len__(self) -> int:
        return len(self.locations)

    @property
    def section_index(self) -> Int[np.ndarray, " n"]:
        """Index of the section of each location, 0 where ``sections`` is ``None``."""
        return np.zeros(len(self), dtype=np.intp) if self.sections is None else self.sections

    @property
    def separated_xy_um(self) -> Float[np.ndarray, "n 2"]:
        """Positions in µm with the sections laid side by side, for models that compare distances only.

        Section 0 keeps its coordinates; see :func:`separated`. A model that knows the section index should use
        ``locations.xy`` and ``section_index`` instead.
        """
        return self.locations.xy if self.sections is None else separated(self.locations.xy, self.sections)

    def take(self, index: Any) -> Inputs:
        """Return the inputs at ``index``; features are read into memory, patches stay on disk."""
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
        The training spots.
    expression
        log1p(CP10k) values, n × g; at the mean depth of each section where ``measured`` is given. A sparse matrix of
        large sections, most of whose values are 0: models that need all values ask for :attr:`dense_expression`.
    genes
        Gene names, one per column.
    depth
        Total counts of each spot over all genes, which determine the precision of its measurement.
    programs
        Directions of expression learnt from other data, most important first, one column for each of ``genes``;
        ``None``: there are none. Their units are standard deviations of each gene over the other data, of log1p of
        counts that are normalised by depth, and the gene's reliability is not in them. Orthonormal over the genes of
        the other data; a gene that these lack is 0. A model may use them or not.
    measured
        log1p(CP10k) as it was measured, n × g, where ``expression`` is adjusted for depth; ``None``: it is not.
    alike
        Whether none of the sections is the one to predict, so that a model that cannot use all spots takes as large a
        share of each; otherwise it may prefer those of section 0.

    Raises
    ------
    DataError
        When the numbers of spots or genes disagree, or programs are not finite.
    """

    inputs: Inputs
    expression: Float[np.ndarray, "n g"] | sparse.csr_matrix
    genes: Array
    depth: Float[np.ndarray, " n"]
    programs: Float[np.ndarray, "k g"] | None = None
    measured: Float[np.ndarray, "n g"] | None = None
    alike: bool = False

    def __post_init__(self) -> None:
        genes = np.asarray(self.genes, dtype=str)
        shape = (len(self.inputs), len(genes))
        if self.expression.shape != shape or self.depth.shape != shape[:1]:
            raise DataError(
                f"Expected expression {shape}, got {self.expression.shape} and depth {self.depth.shape}."
            )
        if self.programs is not None:
            object.__setattr__(self, "programs", frozen(_checked_programs(self.programs, len(genes))))
        if self.measured is not None:
            if self.measured.shape != shape:
                raise DataError(f"Expected measured expression {shape}, got {self.measured.shape}.")
            object.__setattr__(self, "measured", frozen(self.measured))
        kept = sparse.csr_matrix(self.expression) if self.is_sparse else frozen(self.expression)
        object.__setattr__(self, "expression", kept)
        object.__setattr__(self, "genes", frozen(genes))

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def is_sparse(self) -> bool:
        """Whether expression is a sparse matrix."""
        return bool(sparse.issparse(self.expression))

    @property
    def dense_expression(self) -> Float[np.ndarray, "n g"]:
        """Expression with all its zeros.

        Raises
        ------
        UsageError
            Where they need more memory than there is.
        """
        if not self.is_sparse:
            return np.asarray(self.expression)
        available, needed = available_bytes(), 8.0 * len(self) * len(self.genes)
        if available is not None and needed > available:
            raise UsageError(
                f"A dense matrix of {len(self)} spots × {len(self.genes)} genes needs {needed / 2**30:.1f} GiB, and "
                f"{available / 2**30:.1f} GiB are free. Choose `model` cokriging, which reads sparse counts, fewer "
                "`genes`, or larger bins (`bin_um`)."
            )
        return np.asarray(sparse.csr_matrix(self.expression).toarray())

    def dense(self) -> Samples:
        """Return the samples with dense expression; the same ones where it is dense already."""
        return replace(self, expression=self.dense_expression) if self.is_sparse else self

    @property
    def log_cp10k(self) -> Float[np.ndarray, "n g"]:
        """log1p(CP10k) as it was measured, from which the counts follow."""
        return self.expression if self.measured is None else self.measured

    def take(self, index: Any) -> Samples:
        """Return the samples at ``index``."""
        return replace(
            self,
            inputs=self.inputs.take(index),
            expression=self.expression[index],
            depth=self.depth[index],
            measured=None if self.measured is None else self.measured[index],
        )


def separated(xy_um: Float[np.ndarray, "n 2"], sections: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 2"]:
    """Return positions in µm with the sections laid side by side, ten metres apart.

    Neighbour searches and kernels of distance then stay within a section. Section 0 keeps its coordinates.

    Examples
    --------
    >>> import numpy as np
    >>> separated(np.array([[3.0, 4.0], [3.0, 4.0]]), np.array([0, 1])).tolist()
    [[3.0, 4.0], [10000003.0, 4.0]]
    """
    return np.asarray(xy_um + np.asarray(sections)[:, None] * np.array([_SEPARATION_UM, 0.0]))


def concatenated(parts: Sequence[Inputs]) -> Inputs:
    """Return the inputs of several sections as one, with the index of the section of each row.

    Ids of the sections after the first begin with the index and a slash, so that they stay unique. Coordinates stay
    as they are.

    Raises
    ------
    DataError
        When image features, colour or patches are there for some sections only.
    """
    if len(parts) == 1:
        # the same object, so that features on disk stay there
        return parts[0]
    held = [(*(getattr(part, name) is not None for name in _IMAGE_FIELDS), part.joined) for part in parts]
    if len(set(held)) > 1:
        raise DataError("Expected the same image features for all sections; some have no image.")
    features, colour, patches = ([getattr(part, name) for part in parts] for name in _IMAGE_FIELDS)
    return Inputs(
        _concatenated_locations([part.locations for part in parts]),
        features=None if features[0] is None else np.concatenate([np.asarray(rows[:]) for rows in features]),
        colour=None if colour[0] is None else np.concatenate(colour),
        patches=None if patches[0] is None else _PatchesInARow(tuple(patches)),
        sections=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        joined=parts[0].joined,
    )


def in_section(inputs: Inputs, index: int) -> Inputs:
    """Return the inputs as those of section ``index``.

    The index of a section without training spots is the number of sections fitted: a fit on three sections knows
    0, 1 and 2, and 3 is a further one.
    """
    return replace(inputs, sections=np.full(len(inputs), index, dtype=np.intp))


def _checked_programs(programs: Array, genes: int) -> Array:
    """Return programs as numbers of double precision, where they fit the genes."""
    values = np.asarray(programs, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != genes or not np.isfinite(values).all():
        raise DataError(f"Expected finite programs of {genes} genes each, got {values.shape}.")
    return values


def _length(part: Any) -> int:
    return len(part) if hasattr(part, "__len__") else int(part.shape[0])


def _concatenated_locations(parts: Sequence[Locations]) -> Locations:
    # barcodes of different slides repeat; those of the section to predict stay as they are
    ids = [
        part.points.ids
        if index == 0
        else np.array([f"{index}/{name}" for name in part.points.ids], dtype=str)
        for index, part in enumerate(parts)
    ]
    xy = np.concatenate([part.xy for part in parts])
    # the diameter is that of the section to predict: it is the support of the predictions
    points = replace(parts[0].points, xy=xy, ids=np.concatenate(ids))
    lattice_xy, parent, subspot, observed, in_tissue = (
        np.concatenate([getattr(part, name) for part in parts]) for name in _LOCATION_FIELDS
    )
    return Locations(points, lattice_xy, parent, subspot=subspot, observed=observed, in_tissue=in_tissue)


@dataclass(frozen=True, slots=True, eq=False)
class _PatchesInARow:
    """The patches of several slide images, one after another."""

    parts: tuple[PatchRows, ...]

    @property
    def px(self) -> int:
        return self.parts[0].px

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: Any) -> Array:
        rows = np.arange(len(self))[index]
        patches = np.empty((len(rows), self.px, self.px, 3), dtype=np.uint8)
        start = 0
        # each slide is read once, whatever the order of the rows
        for part in self.parts:
            mask = (rows >= start) & (rows < start + len(part))
            patches[mask] = part[rows[mask] - start]
            start += len(part)
        return patches

    def take(self, index: Any) -> PatchRows:
        return _ChosenPatches(self, np.arange(len(self))[index])


@dataclass(frozen=True, slots=True, eq=False)
class _ChosenPatches:
    """Some of the patches, in any order."""

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
