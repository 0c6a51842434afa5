"""Gene programs: directions of expression that other data have, without their profiles."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from histosge._runtime.hashing import fingerprint
from histosge._runtime.messages import Message
from histosge._runtime.types import Float, Int, frozen
from histosge.errors import DataError

from .gene_names import GeneNames

__all__ = ["MoleculeSample", "ProgramSource", "Programs"]


@dataclass(frozen=True, slots=True)
class ProgramSource:
    """Where gene programs come from.

    Parameters
    ----------
    name
        Name of the file.
    fingerprint
        Hash of its counts and of the names of its genes.
    profiles, genes
        How many were used: profiles (spots, cells or bulk samples) that are not empty, genes that were counted.
    median_depth
        Molecules of the median profile.
    """

    name: str
    fingerprint: str
    profiles: int
    genes: int
    median_depth: float


@dataclass(frozen=True, slots=True, eq=False)
class MoleculeSample:
    """Counts of some genes in some profiles of a source, by which an audit recognises the section that it scores.

    Parameters
    ----------
    columns
        Positions of the genes among those of the programs.
    counts
        Raw counts, profiles × genes.
    """

    columns: Int[np.ndarray, " m"]
    counts: sparse.csr_matrix


@dataclass(frozen=True, slots=True, eq=False)
class Programs:
    """Gene programs: principal directions of standardised expression in other data.

    Parameters
    ----------
    genes
        Symbols and Ensembl identifiers.
    species
        ``"human"``, ``"mouse"``, or as the names have it; empty where they do not tell.
    directions
        Orthonormal rows, k × g, the largest variance first. Their units are standard deviations of each gene over the
        profiles of a source, of log1p of counts scaled to the source's median depth. 0 for genes that are hardly ever
        counted.
    variances
        Of the profiles along each direction; the mean over the sources.
    sources
        What the programs were built from.
    levels
        Mean and standard deviation of log1p(CP10k) of each gene over the profiles, mean over the sources; NaN for genes
        without. ``None`` in files of earlier releases.
    licence, source
        Licence and origin of the data, as their owner states them.
    samples
        For each source what an audit compares with the section that it scores.
    messages
        Messages of the building; not kept in a file.

    Raises
    ------
    DataError
        When the parts do not belong together.
    """

    genes: GeneNames
    species: str
    directions: Float[np.ndarray, "k g"]
    variances: Float[np.ndarray, " k"]
    sources: tuple[ProgramSource, ...]
    levels: Float[np.ndarray, "2 g"] | None = field(default=None, repr=False, kw_only=True)
    licence: str = ""
    source: str = ""
    samples: tuple[MoleculeSample, ...] = field(default=(), repr=False)
    messages: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.variances), len(self.genes))
        if self.directions.shape != shape or not np.isfinite(self.directions).all():
            raise DataError(
                f"Expected {shape[0]} finite directions of {shape[1]} genes, got {self.directions.shape}."
            )
        if not (np.isfinite(self.variances).all() and (self.variances >= 0).all()):
            raise DataError("Expected variances of 0 or more, got others.")
        if self.levels is not None:
            if self.levels.shape != (2, shape[1]):
                raise DataError(f"Expected levels of {shape[1]} genes, got {self.levels.shape}.")
            object.__setattr__(self, "levels", frozen(np.asarray(self.levels, dtype=np.float32)))
        object.__setattr__(self, "directions", frozen(np.asarray(self.directions, dtype=np.float32)))
        object.__setattr__(self, "variances", frozen(np.asarray(self.variances, dtype=np.float64)))

    def __len__(self) -> int:
        return len(self.variances)

    @property
    def profiles(self) -> int:
        """Number of profiles of all sources."""
        return sum(source.profiles for source in self.sources)

    @property
    def scaled(self) -> Float[np.ndarray, "k g"]:
        """The directions times the standard deviation of the profiles along them: products are covariances."""
        return np.asarray(np.sqrt(self.variances)[:, None] * self.directions)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that a fit uses."""
        return fingerprint(self.genes.symbols, self.genes.ids, self.species, self.directions, self.variances)
