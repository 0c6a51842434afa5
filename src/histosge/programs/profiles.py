"""Profiles of one source: raw counts that are read piece by piece."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array, Int
from histosge.errors import DataError
from histosge.io.readers.count_values import are_counts, kind_of_values

from .gene_names import GeneNames

__all__ = ["Census", "Profiles", "block_rows", "of_matrix"]

# numbers of a dense block: 64 MB in single precision
_BLOCK = 1 << 24
_MOST_ROWS = 1024
# profiles of one source that are used; directions do not gain from more, and time grows with them
MOST_PROFILES = 20_000
# of fewer, no gene has a standard deviation that one could divide by
_LEAST_PROFILES = 10
# molecules, and share of the median, below which a profile is empty
_LEAST_DEPTH, _LEAST_SHARE = 10, 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Census:
    """What the first reading of a source finds.

    Parameters
    ----------
    rows
        Profiles that are used.
    median_depth
        Molecules of the median profile among them.
    detected
        Number of these profiles in which each gene was counted.
    totals
        Molecules of each gene.
    fingerprint
        Hash of all counts and of the names of the genes.
    thinned
        Whether there are more profiles than are used.
    """

    rows: Int[np.ndarray, " n"]
    median_depth: float
    detected: Int[np.ndarray, " g"]
    totals: Array
    fingerprint: str
    thinned: bool


@dataclass(frozen=True, slots=True, eq=False)
class Profiles:
    """A source of expression: spots, cells or bulk samples, of which no position and no image is needed.

    Parameters
    ----------
    name
        Name of its file, or of the section.
    genes
        Names of the columns.
    number
        Number of profiles.
    read
        Yields the raw counts in blocks of rows, from the first to the last; called several times.
    messages
        What a user should know of the reading.
    """

    name: str
    genes: GeneNames
    number: int
    read: Callable[[], Iterator[sparse.csr_matrix]]
    messages: tuple[Message, ...] = ()

    def with_messages(self, *messages: Message) -> Profiles:
        """Return the profiles with further messages."""
        return replace(self, messages=(*self.messages, *messages))

    def checked_blocks(self) -> Iterator[sparse.csr_matrix]:
        """Yield the blocks of rows.

        Raises
        ------
        DataError
            For values that are no counts.
        """
        for block in self.read():
            if not are_counts(block):
                raise DataError(
                    f"Expected raw counts in '{self.name}', got {kind_of_values(block)}. Give the counts before "
                    "normalisation."
                )
            yield block

    def blocks_of(self, rows: Int[np.ndarray, " n"]) -> Iterator[sparse.csr_matrix]:
        """Yield the counts of some rows, which are ascending, in blocks."""
        start = 0
        for block in self.checked_blocks():
            first, last = np.searchsorted(rows, (start, start + block.shape[0]))
            if last > first:
                yield block[rows[first:last] - start]
            start += block.shape[0]

    def census(self) -> Census:
        """Read the source once: depths, genes detected, and a fingerprint.

        Raises
        ------
        DataError
            When it has too few profiles with counts.
        """
        if self.number < _LEAST_PROFILES:
            raise self._too_few(self.number)
        depths, digests = [], tuple(hashlib.blake2b(digest_size=16) for _ in range(3))
        for block in self.checked_blocks():
            depths.append(np.asarray(block.sum(axis=1), dtype=np.float64).ravel())
            _feed(digests, block)
        depth = np.concatenate(depths)
        rows, median, thinned = self._usable(depth)
        detected, totals = np.zeros((2, len(self.genes)))
        for block in self.blocks_of(rows):
            detected += block.getnnz(axis=0)
            totals += np.asarray(block.sum(axis=0)).ravel()
        names = hashlib.blake2b(
            "\n".join(self.genes.shown.tolist()).encode(errors="surrogatepass"), digest_size=16
        )
        for digest in digests:
            names.update(digest.digest())
        return Census(rows, median, detected.astype(np.intp), totals, names.hexdigest(), thinned)

    def _usable(self, depth: Array) -> tuple[Int[np.ndarray, " n"], float, bool]:
        """Return the profiles that are not empty, at most 20 000, their median depth, and if there are more."""
        counted = depth[depth >= _LEAST_DEPTH]
        least = max(_LEAST_DEPTH, _LEAST_SHARE * float(np.median(counted))) if len(counted) else _LEAST_DEPTH
        rows = np.flatnonzero(depth >= least)
        if len(rows) < _LEAST_PROFILES:
            raise self._too_few(len(rows))
        if thinned := len(rows) > MOST_PROFILES:
            rows = rows[np.linspace(0, len(rows) - 1, MOST_PROFILES).round().astype(np.intp)]
        return rows, float(np.median(depth[rows])), thinned

    def _too_few(self, number: int) -> DataError:
        return DataError(
            f"Expected at least {_LEAST_PROFILES} profiles with {_LEAST_DEPTH} molecules or more in '{self.name}', got "
            f"{number}. Directions of expression need many; give a file with more."
        )


def block_rows(genes: int) -> int:
    """Return how many rows of a matrix with so many columns are read at a time."""
    return max(1, min(_MOST_ROWS, _BLOCK // max(genes, 1)))


def of_matrix(
    name: str, counts: sparse.csr_matrix, genes: GeneNames, messages: tuple[Message, ...] = ()
) -> Profiles:
    """Return the profiles of a matrix in memory."""
    step = block_rows(counts.shape[1])

    def read() -> Iterator[sparse.csr_matrix]:
        for start in range(0, counts.shape[0], step):
            yield sparse.csr_matrix(counts[start : start + step], dtype=np.float64)

    return Profiles(name, genes, counts.shape[0], read, messages)


def _feed(digests: tuple[hashlib.blake2b, ...], block: sparse.csr_matrix) -> None:
    """Add a block to the digests, which do not depend on where blocks end or how a file stores them."""
    block = block.copy()
    block.eliminate_zeros()
    block.sort_indices()
    parts = (block.data, block.indices, np.diff(block.indptr))
    for digest, part in zip(digests, parts, strict=True):
        digest.update(np.ascontiguousarray(part, dtype="<i8").data)
