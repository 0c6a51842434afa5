"""Which genes to use: the most variable, all, a list of names, or a file of names."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from histosge._runtime.messages import Message
from histosge._runtime.names import near_misses, positions_or_refuse
from histosge._runtime.types import Array, Int, frozen
from histosge.errors import UsageError

from .marker_genes import named_positions
from .section import Section
from .variable_genes import expressed_in, highly_variable, spots_with_counts

__all__ = ["GeneChoice", "GenePanel", "Genes", "refuse_unknown", "select"]

#: what parameters called ``genes`` accept
Genes: TypeAlias = "GeneChoice | Path | str | Iterable[str]"
# a word with one of these endings, or with a folder, is meant as a file
_FILE_ENDINGS = (".txt", ".csv", ".tsv")
# as hvg:N, with another word
_VARIABLE = re.compile(r"([A-Za-z]{2,4}):(\d+(?::\d+)?)")
_ALL_GENES = "In Python `histosge.read(SECTION).genes` lists all of them."
# unknown names of a file that a message lists
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class GeneChoice:
    """A choice of genes that names no section yet.

    Parameters
    ----------
    kind
        ``"variable"``: the ``number`` most variable genes. ``"all"``: every gene with counts. ``"names"``: those in
        ``names``.
    names
        Gene names or identifiers, in the user's order, without repeats.
    number
        How many of the most variable genes.
    spots
        In how many spots a variable gene must have counts; ``None``: 3, of sections of more than 1000 spots 10.
    file
        Where ``names`` were read from. A name in a file that a section lacks is left out and listed in
        :attr:`GenePanel.missing`; a name typed by the user must exist.

    Examples
    --------
    >>> GeneChoice.parse("EPCAM, CD3E").names
    ('EPCAM', 'CD3E')
    >>> GeneChoice.parse(["EPCAM", "CD3E"]) == GeneChoice.parse("EPCAM,CD3E")
    True
    >>> GeneChoice.parse("hvg:500").number
    500
    """

    kind: Literal["variable", "all", "names"]
    names: tuple[str, ...] = ()
    number: int = 0
    file: Path | None = None
    spots: int | None = None

    @classmethod
    def parse(cls, genes: Genes) -> GeneChoice:
        """Return the choice that a user's words mean.

        Parameters
        ----------
        genes
            ``hvg:N``: the N most variable genes by ``seurat_v3`` (stuart2019), of those with counts in 3 spots or more
            (10 on sections of more than 1000 spots). ``hvg:N:S``: in S spots or more; ``hvg:N:0`` takes out none, as
            the HisToSGE paper. Where only some spots may be used, S counts in proportion. ``all``: every gene with
            counts.
            Otherwise a list of names, names separated by commas, or a file with one name or identifier a line (of a
            table the first column).

        Raises
        ------
        UsageError
            For no name, a malformed ``hvg:N``, or a file that is missing or no text.
        """
        if isinstance(genes, GeneChoice):
            return genes
        if isinstance(genes, Path):
            return cls("names", _names_in_file(genes), file=genes)
        if not isinstance(genes, str):
            return _of_names(genes)
        text = genes.strip()
        if text.startswith("hvg:"):
            number, spots = _numbers(text)
            return cls("variable", number=number, spots=spots)
        if text == "all":
            return cls("all")
        # an existing file is preferred to a gene of the same name
        if os.path.isfile(text) or ("," not in text and _is_path(text)):
            return cls("names", _names_in_file(Path(text)), file=Path(text))
        return _of_names(text.split(","))

    @staticmethod
    def text(genes: Genes) -> str:
        """Return a choice as text without reading a file: what a recipe stores.

        Examples
        --------
        >>> GeneChoice.text(["EPCAM", "CD3E"])
        'EPCAM,CD3E'
        """
        if isinstance(genes, (str, Path, GeneChoice)):
            return str(genes)
        return str(_of_names(genes))

    def __str__(self) -> str:
        """Return the text that :meth:`parse` turns into this choice."""
        if self.kind == "variable":
            return f"hvg:{self.number}" + ("" if self.spots is None else f":{self.spots}")
        if self.kind == "all":
            return "all"
        return str(self.file) if self.file is not None else ",".join(self.names)

    def among(self, available: Iterable[str], where: str) -> tuple[str, ...]:
        """Return the chosen names out of those available, in the user's order; ``all`` returns all of them.

        Parameters
        ----------
        available
            Names there are, of a prediction for example.
        where
            Whose they are, for the message: ``"the prediction"``.

        Raises
        ------
        UsageError
            For an unknown name, a file without any known one, or ``hvg:N``, which needs counts.
        """
        available = tuple(str(name) for name in available)
        if self.kind == "variable":
            raise UsageError(
                f"Expected `genes` as names, a file or all, got '{self}'. Highly variable genes are chosen at the fit."
            )
        if self.kind == "all":
            return available
        if self.file is None:
            refuse_unknown(self.names, available, where)
            return self.names
        known = set(available)
        names = tuple(name for name in self.names if name in known)
        if not names:
            raise _no_name_known(self, available, where)
        return names


@dataclass(frozen=True, slots=True, eq=False)
class GenePanel:
    """The genes a model predicts.

    Parameters
    ----------
    names
        Gene names, in the section's order.
    columns
        Their columns in the section's counts.
    spec
        The choice as text, see :meth:`GeneChoice.parse`.
    missing
        Names in the user's file that the section does not have.
    """

    names: Array
    columns: Int[np.ndarray, " g"]
    spec: str
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", frozen(np.asarray(self.names, dtype=str)))
        object.__setattr__(self, "columns", frozen(np.asarray(self.columns, dtype=np.intp)))

    def __len__(self) -> int:
        return len(self.names)

    def by_name(self) -> GenePanel:
        """Return the panel in the order of the names: what is computed from it depends on no order of a file."""
        order = np.argsort(self.names, kind="stable")
        return GenePanel(self.names[order], self.columns[order], self.spec, self.missing)

    @property
    def messages(self) -> tuple[Message, ...]:
        """A warning that lists names of the user's file without a gene; empty where all have one."""
        if not self.missing:
            return ()
        names = ", ".join(self.missing[:_MOST_NAMED]) + (", …" if len(self.missing) > _MOST_NAMED else "")
        total = len(self.missing) + len(self)
        text = (
            f"{len(self.missing)} of the {total} names in '{self.spec}' are no genes of the section: {names}."
        )
        return (Message("warning", text),)


def select(section: Section, genes: Genes = "hvg:1000", *, rows: Array | None = None) -> GenePanel:
    """Choose genes of a section.

    Parameters
    ----------
    section
        Where the counts are.
    genes
        See :meth:`GeneChoice.parse`. Names and stable identifiers (Ensembl) are both accepted.
    rows
        Spots whose counts may be used; ``None`` means all. In an evaluation: the training spots, because genes chosen
        with the test spots' counts leak information.

    Raises
    ------
    UsageError
        For a malformed choice, a missing file, an unknown name (near misses are offered), or a file without any of
        the section's genes.
    DataError
        When no gene varies.

    Examples
    --------
    >>> from histosge.datasets import synthetic
    >>> section = synthetic(columns=8, rows=8, genes=12).section
    >>> select(section, section.genes[:2].tolist()).columns.tolist()
    [0, 1]
    """
    choice = GeneChoice.parse(genes)
    counts = section.counts if rows is None else section.counts[rows]
    if choice.kind == "variable":
        candidates = expressed_in(counts, len(section), at_least=choice.spots)
        # in the order of their names, which breaks ties and settles rounding whatever the order of the file
        candidates = candidates[np.argsort(section.genes[candidates], kind="stable")]
        columns = np.sort(candidates[highly_variable(counts[:, candidates], choice.number)])
        return GenePanel(section.genes[columns], columns, str(choice))
    if choice.kind == "all":
        columns = np.flatnonzero(spots_with_counts(counts) > 0)
        return GenePanel(section.genes[columns], columns, str(choice))
    return _named(section, choice)


def refuse_unknown(genes: Iterable[str], available: Iterable[str], where: str, *, advice: str = "") -> None:
    """Refuse names that are no genes, offering near misses.

    Parameters
    ----------
    genes
        Asked for.
    available
        Names there are.
    where
        Whose they are, for the message: ``"section 'C2'"``.
    advice
        A further sentence for the message, of what to do.

    Raises
    ------
    UsageError
        For the first unknown name, or where no name is asked for.
    """
    genes = list(genes)
    if not genes:
        raise UsageError("Expected at least one gene, got none.")
    available = [str(name) for name in available]
    for name in map(str, genes):
        if (meant := _as_variable(name)) and name not in available:
            raise UsageError(
                f"'{name}' is not among the {len(available)} genes of {where}. Did you mean {meant}, the most variable "
                "genes?"
            )
    positions_or_refuse(genes, available, f"genes of {where}", advice=advice)


def _named(section: Section, choice: GeneChoice) -> GenePanel:
    """Return the panel of the chosen names; a name matches before an identifier does."""
    # -1 marks a name that is not there
    columns = named_positions(choice.names, section.genes, section.gene_ids)
    missing = tuple(name for name, column in zip(choice.names, columns, strict=True) if column < 0)
    where = f"section '{section.name}'"
    if missing and choice.file is None:
        refuse_unknown(missing, section.genes, where, advice=_ALL_GENES)
    if len(missing) == len(choice.names):
        raise _no_name_known(choice, [*section.genes, *section.gene_ids], where)
    columns = np.unique(columns[columns >= 0])
    return GenePanel(section.genes[columns], columns, str(choice), missing)


def _no_name_known(choice: GeneChoice, available: Iterable[str], where: str) -> UsageError:
    hint = near_misses(choice.names[0], available) if choice.names else ""
    return UsageError(f"None of the {len(choice.names)} names in '{choice.file}' is a gene of {where}.{hint}")


def _numbers(text: str) -> tuple[int, int | None]:
    """Return N of ``hvg:N``, and S of ``hvg:N:S`` or none."""
    parts = text.removeprefix("hvg:").split(":")
    # isdecimal and isascii: other digits are not what a user means by a number
    if not (len(parts) <= 2 and all(part.isascii() and part.isdecimal() for part in parts) and int(parts[0])):
        raise UsageError(
            f"Expected hvg:N with a whole number of genes, or hvg:N:S with counts in S spots or more, got '{text}'. "
            "Try hvg:1000."
        )
    return int(parts[0]), int(parts[1]) if len(parts) == 2 else None


def _as_variable(name: str) -> str:
    """Return the ``hvg:N`` that a name is a slip of; empty where it is none."""
    match = _VARIABLE.fullmatch(name)
    if match is None or not difflib.get_close_matches(match[1].lower(), ["hvg"]):
        return ""
    return f"hvg:{match[2]}"


def _is_path(text: str) -> bool:
    return text.lower().endswith(_FILE_ENDINGS) or os.sep in text or "/" in text


def _of_names(names: Iterable[str]) -> GeneChoice:
    """Return the choice of names from a list; repeats and empty ones are dropped."""
    stripped = tuple(dict.fromkeys(name for item in names if (name := str(item).strip())))
    if not stripped:
        raise UsageError("Expected `genes`: hvg:N, all, names, or a file of names; got none.")
    return GeneChoice("names", stripped)


def _names_in_file(path: Path) -> tuple[str, ...]:
    """Return the first column of a text file."""
    if not path.is_file():
        raise UsageError(
            f"Expected `genes`: hvg:N, all, names, or a file of names; there is no file '{path}'."
        )
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"'{path}' is no text file of gene names.") from error
    first = (line.replace("\t", ",").split(",")[0].strip() for line in lines)
    return tuple(dict.fromkeys(name for name in first if name))
