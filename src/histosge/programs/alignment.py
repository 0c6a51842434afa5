"""Gene programs as a user gives them to a fit, aligned to the genes that are fitted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from histosge._runtime.hashing import fingerprint
from histosge._runtime.messages import Message, emit
from histosge._runtime.names import positions_or_refuse
from histosge._runtime.types import Array, Float
from histosge.errors import UsageError
from histosge.section.inputs import Samples

from .axes import merged_axes
from .build import build
from .file import is_programs, read_programs
from .gene_names import GeneNames, united
from .gene_programs import Programs
from .levels import merged_levels
from .sources import Source

__all__ = ["AlignedPrograms", "ProgramsLike", "ProgramsSummary", "joined_programs", "programs_of"]

#: what parameters called ``programs`` accept: files of gene programs, or data that they are built from
ProgramsLike: TypeAlias = "Programs | Source"
# directions over the fitted genes; models take the first
_MOST = 50
# a smaller share of the fitted genes is worth a warning
_FEW = 0.5


@dataclass(frozen=True, slots=True)
class ProgramsSummary:
    """Gene programs of a fit, as its record describes them.

    Parameters
    ----------
    names
        Files that they were built from.
    fingerprint
        Hash of directions, variances and genes.
    species
        Empty where the names of the genes do not tell.
    profiles
        Number of profiles.
    genes, common
        Number of genes of the programs, and of those fitted that are among them.
    licences
        As the owners of the data state them.
    """

    names: tuple[str, ...]
    fingerprint: str
    species: str
    profiles: int
    genes: int
    common: int
    licences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class AlignedPrograms:
    """Gene programs over the genes that are fitted.

    Parameters
    ----------
    genes
        Names of the fitted genes.
    directions
        Orthonormal rows over the fitted genes, the largest variance first; genes that no data have are 0.
    summary
        What they are.
    messages
        What a user should know of them.
    """

    genes: Array
    directions: Float[np.ndarray, "k g"]
    summary: ProgramsSummary
    messages: tuple[Message, ...] = ()

    @classmethod
    def of(cls, programs: Sequence[Programs], names: Array, ids: Array, *, where: str) -> AlignedPrograms:
        """Align gene programs to genes; several have the same weight.

        Parameters
        ----------
        programs
            One or more.
        names, ids
            Names and identifiers of the genes to fit.
        where
            Whose they are, for the messages: ``"section 'C2'"``.

        Raises
        ------
        UsageError
            Where the species differ, or no gene is common.
        """
        genes = GeneNames.of(names, ids)
        species = genes.species
        parts, any_common = [], np.zeros(len(genes), dtype=bool)
        for part in programs:
            if species and part.species and species != part.species:
                raise UsageError(
                    f"Expected gene programs of {species}, the species of {where}, got {part.species} in "
                    f"{_named(part)}. Give programs of one species."
                )
            columns = genes.positions_in(part.genes)
            common = np.flatnonzero(columns >= 0)
            if not part.directions[:, columns[common]].any():
                raise UsageError(
                    f"No gene of {where} is among the {len(part.genes)} genes of the gene programs of "
                    f"{_named(part)}. Give programs whose genes have the same kind of names or identifiers."
                )
            parts.append((part.scaled[:, columns[common]], common))
            any_common[common] = True
        directions, _ = merged_axes(parts, len(genes), _MOST)
        summary = ProgramsSummary(
            tuple(source.name for part in programs for source in part.sources),
            fingerprint([part.fingerprint for part in programs]),
            next((part.species for part in programs if part.species), ""),
            profiles=sum(part.profiles for part in programs),
            genes=max(len(part.genes) for part in programs),
            common=int(any_common.sum()),
            licences=tuple(dict.fromkeys(part.licence for part in programs if part.licence)),
        )
        return cls(names, directions, summary, _few(any_common, where))

    def joined(self, samples: Samples) -> Samples:
        """Return the samples with the gene programs in the order of their genes, all of which are among these."""
        columns = positions_or_refuse(
            samples.genes, self.genes, "genes that the gene programs were aligned to"
        )
        return replace(samples, programs=self.directions[:, columns])


def joined_programs(programs: Sequence[Programs]) -> Programs:
    """Return several gene programs as one, with all genes that any of them has; each has the same weight.

    Raises
    ------
    UsageError
        For no programs, or programs of several species.
    """
    if len(programs) == 1:
        return programs[0]
    species = sorted({part.species for part in programs if part.species})
    if not programs or len(species) > 1:
        raise UsageError(f"Expected gene programs of one species, got {' and '.join(species) or 'none'}.")
    names, columns = united([part.genes for part in programs])
    parts = [(part.scaled, where) for part, where in zip(programs, columns, strict=True)]
    directions, variances = merged_axes(parts, len(names), max(map(len, programs)))
    sources = tuple(source for part in programs for source in part.sources)
    levels = [
        (part.levels, where) for part, where in zip(programs, columns, strict=True) if part.levels is not None
    ]
    merged = merged_levels(levels, len(names)) if levels else None
    return Programs(names, "".join(species), directions, variances, sources, levels=merged)


def programs_of(programs: ProgramsLike | Iterable[ProgramsLike]) -> tuple[Programs, ...]:
    """Return the gene programs that a user gives.

    Files of gene programs are read. All other data together are built into gene programs, which takes seconds to
    minutes; the message says how to keep them.

    Parameters
    ----------
    programs
        Gene programs, files of them, or what :func:`histosge.programs.build` takes; one or several.
    """
    items = list(programs) if isinstance(programs, (list, tuple)) else [programs]
    result: list[Programs] = []
    data: list[Source] = []
    for item in items:
        if isinstance(item, Programs):
            result.append(item)
        elif isinstance(item, (str, Path)) and Path(item).is_file() and is_programs(Path(item)):
            result.append(read_programs(item))
        elif isinstance(item, (str, Path)) and str(item).endswith(".programs.h5"):
            # a damaged one is no data to build from
            result.append(read_programs(item))
        else:
            data.append(item)
    if data:
        built = build(data)
        text = (
            f"Gene programs were built of {', '.join(source.name for source in built.sources)}. Keep them for other "
            "fits: `histosge programs build`."
        )
        result.append(built)
        emit([Message("info", text)])
    return tuple(result)


def _named(programs: Programs) -> str:
    names = [source.name for source in programs.sources]
    return ", ".join(f"'{name}'" for name in names[:3]) + (" …" if len(names) > 3 else "")


def _few(common: np.ndarray, where: str) -> tuple[Message, ...]:
    share = float(common.mean()) if len(common) else 0.0
    if share >= _FEW:
        return ()
    text = (
        f"Only {int(common.sum())} of the {len(common)} genes of {where} are among the gene programs; the others gain "
        "nothing from them."
    )
    return (Message("warning", text),)
