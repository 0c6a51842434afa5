"""Build gene programs of expression data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message, emit
from histosge._runtime.types import Int
from histosge.errors import DataError, UsageError

from .axes import merged_axes, source_axes
from .gene_names import GeneNames, united
from .gene_programs import MoleculeSample, Programs, ProgramSource
from .levels import merged_levels, source_levels
from .profiles import Census, Profiles
from .sources import Source, profiles_of

__all__ = ["build"]

# directions that are kept: of 1000 genes of a section, those that carry its signal are among the first 50
_DIRECTIONS = 100
# genes and profiles of a source whose counts are kept for audits
_SAMPLE_GENES, _SAMPLE_PROFILES = 256, 2000


def build(
    sources: Source | Sequence[Source],
    *,
    species: str | None = None,
    licence: str = "",
    source: str = "",
    progress: Callable[[int, int, str], None] | None = None,
) -> Programs:
    """Learn directions of expression from other data: spots, cells or bulk samples, without image or positions.

    Each source is scaled to its own median depth, taken as log1p, and standardised gene by gene, so that sources of
    different depths and platforms can be joined; all have the same weight. Empty profiles are left out, and of more
    than 20 000 profiles of a source, 20 000 are used.

    Parameters
    ----------
    sources
        One or several, see :func:`histosge.programs.sources.profiles_of`.
    species
        By default it follows from the identifiers, or from the case of the symbols. It must agree with them.
    licence, source
        Licence and origin of the data, kept in the file.
    progress
        Called with (done, total, text).

    Raises
    ------
    UsageError
        For no source, or one that is there twice.
    DataError
        For sources without raw counts, with fewer than 10 profiles, of several species, or with a gene twice.

    Examples
    --------
    >>> import histosge as hs
    >>> programs = build([hs.synthetic(seed=seed).section for seed in (1, 2)])
    >>> programs.directions.shape[1] == len(programs.genes), programs.species
    (True, 'human')
    """
    several = [profiles_of(item) for item in (sources if isinstance(sources, (list, tuple)) else [sources])]
    if not several:
        raise UsageError("Expected at least one source of expression, got none.")
    names, columns = _united(several)
    known = _species(several, species)
    parts, levels, records, samples = [], [], [], []
    messages: list[Message] = []
    for at, (profiles, where) in enumerate(zip(several, columns, strict=True)):
        if progress is not None:
            progress(at, len(several), profiles.name)
        census = profiles.census()
        records.append(_record(profiles, census))
        _refuse_repeated(records)
        messages += [*profiles.messages, *_of_use(profiles, census)]
        parts.append((source_axes(profiles, census), where))
        levels.append((source_levels(profiles, census), where))
        samples.append(_sample(profiles, census, where))
    directions, variances = merged_axes(parts, len(names), _DIRECTIONS)
    if not len(directions):
        raise DataError("Expected genes that vary over the profiles, got none.")
    emit(messages)
    return Programs(
        names,
        known,
        directions,
        variances,
        tuple(records),
        levels=merged_levels(levels, len(names)),
        licence=licence,
        source=source,
        samples=tuple(samples),
        messages=tuple(messages),
    )


def _united(several: Sequence[Profiles]) -> tuple[GeneNames, list[Int[np.ndarray, " n"]]]:
    """Return all genes, and where those of each source are; an error names its source."""
    for profiles in several:
        try:
            united([profiles.genes])
        except DataError as error:
            raise DataError(f"'{profiles.name}': {error}") from error
    names, columns = united([profiles.genes for profiles in several])
    shared = np.zeros(len(names), dtype=np.intp)
    for part in columns:
        shared[part] += 1
    for profiles, part in zip(several, columns, strict=True):
        if len(several) > 1 and (shared[part] < 2).all():
            raise DataError(
                f"Expected sources with common genes, got none that '{profiles.name}' shares with another one. Give "
                "sources of one species whose genes have the same kind of names, or one that has symbols and "
                "identifiers."
            )
    return names, columns


def _species(several: Sequence[Profiles], species: str | None) -> str:
    """Return the species, which the names of all sources agree on."""
    of_source = {profiles.name: _species_of(profiles) for profiles in several}
    known = {name: value for name, value in of_source.items() if value}
    declared = {} if species is None else {"`species`": species.strip().lower()}
    different = sorted(set((known | declared).values()))
    if len(different) > 1:
        pairs = ", ".join(f"{value} by {name}" for name, value in (declared | known).items())
        raise DataError(f"Expected sources of one species, got {pairs}. Build programs of one species.")
    return different[0] if different else ""


def _species_of(profiles: Profiles) -> str:
    try:
        return profiles.genes.species
    except DataError as error:
        raise DataError(f"'{profiles.name}': {error}") from error


def _record(profiles: Profiles, census: Census) -> ProgramSource:
    return ProgramSource(
        profiles.name,
        census.fingerprint,
        profiles=len(census.rows),
        genes=int((census.detected > 0).sum()),
        median_depth=census.median_depth,
    )


def _refuse_repeated(records: Sequence[ProgramSource]) -> None:
    last = records[-1]
    for other in records[:-1]:
        if other.fingerprint == last.fingerprint:
            raise UsageError(f"'{other.name}' and '{last.name}' hold the same counts. Give each source once.")


def _of_use(profiles: Profiles, census: Census) -> list[Message]:
    """Return a message where profiles were left out."""
    left_out = profiles.number - len(census.rows)
    if not left_out:
        return []
    reason = "more do not help" if census.thinned else "they are nearly empty"
    text = f"{left_out} of the {profiles.number} profiles of '{profiles.name}' were left out: {reason}."
    return [Message("info", text)]


def _sample(profiles: Profiles, census: Census, where: Int[np.ndarray, " n"]) -> MoleculeSample:
    """Return the counts of the genes with most molecules, in profiles evenly over the source."""
    genes = np.sort(np.argsort(-census.totals, kind="stable")[:_SAMPLE_GENES])
    at = np.linspace(0, len(census.rows) - 1, min(_SAMPLE_PROFILES, len(census.rows))).round().astype(np.intp)
    blocks = [block[:, genes] for block in profiles.blocks_of(census.rows[at])]
    return MoleculeSample(where[genes], sparse.csr_matrix(sparse.vstack(blocks), dtype=np.int32))
