"""From what a user gives to profiles: files of any format with counts, and data in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from histosge.errors import DataError, UsageError
from histosge.io.readers import read
from histosge.io.readers.file_names import matches
from histosge.io.readers.tenx_matrix import Matrix, read_matrix
from histosge.section.section import Section

from .count_table import TABLES, of_table
from .gene_names import GeneNames
from .h5ad_profiles import of_anndata, of_h5ad
from .profiles import Profiles, of_matrix

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Source", "profiles_of"]

#: what gene programs are built from
Source: TypeAlias = "Path | str | Section | AnnData | Profiles"


def profiles_of(source: Source) -> Profiles:
    """Return the profiles of a source; no position and no image is needed.

    Parameters
    ----------
    source
        An h5ad, a table of counts (``.tsv``, ``.csv``, compressed or not; a row a profile), a 10x matrix (``.h5``, or a
        folder with ``matrix.mtx``), any section that :func:`histosge.read` reads; or an AnnData or section in memory.

    Raises
    ------
    UsageError
        When nothing is there.
    DataError
        When it is damaged, or holds no raw counts.
    """
    if isinstance(source, Profiles):
        return source
    if isinstance(source, Section):
        return _of_section(source)
    if isinstance(source, (str, Path)):
        return _of_path(Path(source))
    if hasattr(source, "var_names"):
        return of_anndata(source, "AnnData in memory")
    raise UsageError(f"Expected a file, an AnnData or a section, got {type(source).__name__}.")


def _of_path(path: Path) -> Profiles:
    if not path.exists():
        raise UsageError(f"Expected expression data, found nothing at '{path}'. Check the path.")
    if path.is_file() and path.suffix == ".h5ad":
        return of_h5ad(path)
    if path.is_file() and path.name.lower().endswith(TABLES):
        return of_table(path)
    if path.is_file() and path.suffix == ".h5":
        return _of_tenx(read_matrix(path), path.stem)
    if path.is_dir() and len(matches(path, "matrix.mtx")) == 1:
        return _of_tenx(read_matrix(path), path.name)
    # an image that does not match spoils no counts
    return _of_section(read(path, trust_alignment=True))


def _of_tenx(matrix: Matrix, name: str) -> Profiles:
    return of_matrix(name, matrix.counts, GeneNames.of(matrix.genes, matrix.gene_ids), matrix.messages)


def _of_section(section: Section) -> Profiles:
    if not section.has_counts:
        raise DataError(f"Expected counts in '{section.name}', got an image without any.")
    return of_matrix(section.name, section.counts, GeneNames.of(section.genes, section.gene_ids))
