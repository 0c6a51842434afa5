"""A section: counts, spots and the image of the same tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from histosge._runtime.hashing import Converted, fingerprint
from histosge._runtime.messages import Message
from histosge._runtime.names import positions_or_refuse
from histosge._runtime.summary import as_html, as_text, plural, png_uri
from histosge._runtime.types import Array, Float, Int, frozen
from histosge.errors import DataError
from histosge.geometry.lattice import Lattice
from histosge.geometry.platforms import Platform
from histosge.geometry.points import Points
from histosge.geometry.spacing import median_spacing_um
from histosge.images.slide import SlideImage

__all__ = ["Section"]

# what files of counts hold as 32-bit integers
_MOST_MOLECULES = 2**31 - 1
# longer side of the picture in a notebook
_PICTURE_PX = 200


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """One tissue section: row i of ``counts`` is spot i, and all coordinates share one frame.

    Parameters
    ----------
    name
        Its name in files and figures.
    counts
        Raw counts (spots × genes), a SciPy CSR matrix: non-negative integers.
    genes
        Unique gene names, one a column of ``counts``; the names that users type.
    gene_ids
        Stable identifiers (Ensembl) beside the names; equal to ``genes`` where the source has none.
    spots
        The measured spots, µm.
    lattice_xy
        Position of each spot on the platform's own lattice, (column, row); for Visium ``(array_col, array_row)``.
    lattice
        The map between ``lattice_xy`` and µm; ``None`` for cells and other irregular positions.
    platform
        Of the measurement.
    mpp
        µm per pixel of the full-resolution image, the frame that the platform's pixel coordinates refer to:
        ``xy_px = xy_um / mpp``, also where a smaller copy of the image is loaded.
    slide
        The loaded image, or ``None``.
    messages
        Messages of the reader: the image used, its resolution, spots dropped.
    sources
        Files and folders that it was read from, which no output may overwrite; empty for a section made in memory.

    Raises
    ------
    DataError
        When the parts differ in length, gene names repeat, ``mpp`` is not positive, or counts are no whole numbers.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> section = synthetic(columns=8, rows=8, genes=12).section
    >>> len(section.genes), round(section.pitch_um)
    (12, 100)
    """

    name: str
    counts: sparse.csr_matrix
    genes: Array
    gene_ids: Array
    spots: Points
    lattice_xy: Float[np.ndarray, "s 2"]
    lattice: Lattice | None
    platform: Platform
    mpp: float
    slide: SlideImage | None = None
    messages: tuple[Message, ...] = field(default=())
    sources: tuple[Path, ...] = ()
    # the fingerprint, once it was asked for; a changed copy has none
    _known: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        counts = self.counts.tocsr()
        genes, gene_ids = np.asarray(self.genes, dtype=str), np.asarray(self.gene_ids, dtype=str)
        lattice_xy = np.ascontiguousarray(self.lattice_xy, dtype=np.float64)
        if counts.shape != (len(self.spots), len(genes)) or len(gene_ids) != len(genes):
            raise DataError(
                f"Expected counts of {len(self.spots)} spots × {len(genes)} genes, got {counts.shape} and "
                f"{len(gene_ids)} gene ids."
            )
        if lattice_xy.shape != (len(self.spots), 2):
            raise DataError(f"Expected a lattice position (2) a spot, got {lattice_xy.shape}.")
        if len(set(genes.tolist())) != len(genes):
            raise DataError("Expected unique gene names; make them unique while reading.")
        if not self.mpp > 0:
            raise DataError(f"Expected a positive µm per pixel, got {self.mpp}. Give it as `mpp`.")
        _check_counts(counts)
        # sections are shared between fits and threads: their arrays are read-only
        for part in (counts.data, counts.indices, counts.indptr):
            part.flags.writeable = False
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "genes", frozen(genes))
        object.__setattr__(self, "gene_ids", frozen(gene_ids))
        object.__setattr__(self, "lattice_xy", frozen(lattice_xy))

    def __repr__(self) -> str:
        return as_text("Section", self._summary)

    def _repr_html_(self) -> str:
        image = (
            "" if self.slide is None else png_uri(self.slide.thumbnail(max(self.slide.size_um) / _PICTURE_PX))
        )
        return as_html("Section", self._summary, image=image)

    @property
    def _summary(self) -> dict[str, str]:
        """What a notebook shows of it."""
        return {
            "name": f"'{self.name}'",
            "counts": f"{plural(len(self), 'spot')} × {plural(len(self.genes), 'gene')}",
            "platform": f"{self.platform.name}, {self.pitch_um:.4g} µm apart"
            if len(self) > 1
            else self.platform.name,
            "scale": f"{self.mpp:.4g} µm per pixel",
            "image": "no image"
            if self.slide is None
            else "image of {} × {} px".format(*self.slide.backend.shapes[0][::-1]),
        }

    def __len__(self) -> int:
        return len(self.spots)

    @property
    def has_counts(self) -> bool:
        """Whether any count is above 0; without counts, the spots are sampling positions on the image."""
        return bool(self.counts.data.any())

    @property
    def pitch_um(self) -> float:
        """Distance between neighbouring spots in µm: the lattice's, else the median to the nearest neighbour."""
        if self.lattice is not None:
            return self.lattice.pitch_um
        return median_spacing_um(self.spots.xy)

    @property
    def fingerprint(self) -> str:
        """A hash of counts, genes, positions, scale and image; of a section without counts, of its image."""
        if "fingerprint" not in self._known:
            self._known["fingerprint"] = self._fingerprint()
        return self._known["fingerprint"]

    def _fingerprint(self) -> str:
        if not self.has_counts and self.slide is not None and self.lattice is None:
            return self.slide.fingerprint
        return fingerprint(
            Converted(self.counts.data, np.dtype(np.float64)),
            Converted(self.counts.indices, np.dtype(np.int64)),
            Converted(self.counts.indptr, np.dtype(np.int64)),
            self.genes,
            self.spots.ids,
            self.spots.xy,
            self.mpp,
            None if self.slide is None else self.slide.fingerprint,
        )

    def columns(self, genes: Sequence[str] | Array) -> Int[np.ndarray, " g"]:
        """Return the columns of ``counts`` that hold ``genes``, in their order.

        Raises
        ------
        UsageError
            For a gene that the section does not have; near misses are offered.
        """
        return positions_or_refuse(genes, self.genes, f"genes of section '{self.name}'")

    def take(self, index: Any) -> Section:
        """Return the section with only the spots at ``index``; image and lattice stay."""
        return replace(
            self, counts=self.counts[index], spots=self.spots.take(index), lattice_xy=self.lattice_xy[index]
        )

    def with_messages(self, *messages: Message) -> Section:
        """Return the section with further messages."""
        result = replace(self, messages=(*self.messages, *messages))
        # messages are no part of it
        result._known.update(self._known)
        return result


def _check_counts(counts: sparse.csr_matrix) -> None:
    """Refuse values that are no raw counts: every model starts from raw counts."""
    data = counts.data
    # of a whole capture area copies are large
    whole = data.dtype.kind in "biu"
    if not whole and not np.isfinite(data).all():
        raise DataError("Expected finite counts, got NaN or infinity. Give the raw matrix.")
    if data.size and data.max() > _MOST_MOLECULES:
        raise DataError(
            f"Expected counts of molecules up to {_MOST_MOLECULES}, got {data.max():g}. The file is damaged, or holds "
            "other values; give the raw counts."
        )
    if data.size and data.min() < 0:
        raise DataError(
            f"Expected raw counts of 0 or more, got {data.min():g}. The matrix seems to be scaled; give the raw counts."
        )
    if not whole and not np.array_equal(data, np.rint(data)):
        raise DataError(
            "Expected raw integer counts, got fractions. The matrix seems to be normalised; give the raw counts "
            "(in an h5ad: as X or layers['counts'])."
        )
