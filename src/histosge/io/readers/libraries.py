"""The choice of one library of an AnnData that may hold several sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["choose_library"]

# columns of obs that name the section of a spot: scanpy, squidpy, cell2location, CELLxGENE
_COLUMNS = (
    "library_id",
    "library_key",
    "library",
    "sample",
    "sample_id",
    "section",
    "section_id",
    "slide",
    "batch",
)
# more values than this are no names of sections
_MOST_SECTIONS = 200


def choose_library(adata: AnnData, library_id: str | None) -> tuple[AnnData, dict[str, Any]]:
    """Return the spots and the entry of ``uns["spatial"]`` of a library, by default of the only one.

    The spots of a library are those whose value in a column of ``obs`` is its name.

    Raises
    ------
    UsageError
        When there are several libraries and ``library_id`` names none of them.
    DataError
        When no column of ``obs`` tells the spots of the libraries apart.
    """
    libraries = adata.uns.get("spatial", {})
    entries: Mapping[str, Any] = {
        str(name): entry
        for name, entry in (libraries.items() if isinstance(libraries, Mapping) else ())
        # CELLxGENE keeps a flag beside the library
        if isinstance(entry, Mapping)
    }
    columns = _named_columns(adata)
    names = list(entries) if len(entries) > 1 else _sections(columns) or list(entries)
    if library_id is None and len(names) > 1:
        raise UsageError(
            f"The AnnData holds several libraries: {', '.join(names)}. Choose one with `library_id`."
        )
    if library_id is not None and library_id not in (*names, *entries):
        raise UsageError(
            f"There is no library '{library_id}' in the AnnData; it holds {', '.join(names) or 'none'}."
        )
    name = library_id or next(iter(names), None)
    if len(names) > 1 and name is not None:
        adata = adata[_rows_of(adata, name, names)]
    if name is not None and name in entries:
        return adata, dict(entries[name])
    # one image for spots of several sections belongs to one of them, and nothing says which
    return adata, {} if len(names) > 1 else dict(next(iter(entries.values()), {}))


def _rows_of(adata: AnnData, name: str, names: list[str]) -> Array:
    """Return the mask of the spots of a library, of the first column whose values are the libraries' names."""
    masks = {}
    for column in adata.obs.columns:
        values = adata.obs[column].astype(str).to_numpy(dtype=str)
        if name in values and np.isin(values, names).all():
            masks[str(column)] = np.asarray(values == name)
    if not masks:
        raise DataError(
            f"The AnnData holds several libraries ({', '.join(names)}), and no column of obs has their names as its "
            "values: no spot can be assigned to its library. Add obs['library_id'], or split the AnnData into sections."
        )
    chosen = masks.get("library_id", next(iter(masks.values())))
    differing = [column for column, mask in masks.items() if not np.array_equal(mask, chosen)]
    if differing and "library_id" not in masks:
        raise DataError(
            f"The columns {', '.join(masks)} of obs disagree on the spots of '{name}'. Name the right one 'library_id'."
        )
    return chosen


def _named_columns(adata: AnnData) -> dict[str, Array]:
    """Return the values of the columns that name the section of a spot."""
    return {
        column: adata.obs[column].astype(str).to_numpy(dtype=str)
        for column in _COLUMNS
        if column in adata.obs
    }


def _sections(columns: Mapping[str, Array]) -> list[str]:
    """Return the names of the sections of the first column that has several values, which one section has not."""
    for values in columns.values():
        names = np.unique(values)
        if 1 < len(names) <= _MOST_SECTIONS:
            return [str(name) for name in names]
    return []
