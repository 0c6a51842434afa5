"""Tables of counts as text: a row a profile, a column a gene."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import sparse

from histosge._runtime.messages import Message
from histosge._runtime.types import Array
from histosge.errors import DataError

from .gene_names import GeneNames
from .profiles import Profiles, block_rows, of_matrix

__all__ = ["TABLES", "of_table"]

#: endings of tables of counts
TABLES = (".tsv", ".csv", ".tsv.gz", ".csv.gz", ".txt", ".txt.gz")
# columns that describe cells in tables of Xenium, CosMx and MERSCOPE
_NO_GENES = frozenset(
    (
        *("cell_id", "x", "y", "x_um", "y_um", "x_centroid", "y_centroid", "pixel_x", "pixel_y", "fov"),
        *("area", "area_um2", "cell_area", "nucleus_area", "cluster", "leiden"),
        *("transcript_counts", "control_probe_counts", "control_codeword_counts", "total_counts", "n_counts"),
        "n_genes",
    )
)
_SPOT = re.compile(r"\d+(\.\d+)?x\d+(\.\d+)?|[ACGTN]{12,}(-\d+)?")


def of_table(path: Path) -> Profiles:
    """Return the profiles of a table.

    The first row names the genes; the first column names the profiles. Columns of positions and sizes, as tables of
    cells have them, are left out.

    Raises
    ------
    DataError
        When it is no such table, holds anything but numbers, or has the genes in its rows.
    """
    header, separator = _header(path)
    columns = np.array(
        [at for at, name in enumerate(header) if at and name.lower() not in _NO_GENES], dtype=np.intp
    )
    if not len(columns):
        raise DataError(
            f"Expected a column a gene in '{path.name}', got the columns {', '.join(header[:5])}."
        )
    names = [header[at] for at in columns]
    if _are_spots(names):
        raise DataError(
            f"Expected genes in the first row of '{path.name}', got profiles as '{names[0]}'. Transpose the table: a "
            "row a profile, a column a gene."
        )
    left_out = [name for name in header[1:] if name.lower() in _NO_GENES]
    messages: tuple[Message, ...] = ()
    if left_out:
        text = f"Columns of '{path.name}' that are no genes were left out: {', '.join(left_out)}."
        messages = (Message("info", text),)
    blocks = list(_blocks(path, columns, len(header), separator))
    counts = sparse.vstack(blocks) if blocks else sparse.csr_matrix((0, len(columns)))
    return of_matrix(path.name.split(".")[0], sparse.csr_matrix(counts), GeneNames.of(names), messages)


def _are_spots(names: list[str]) -> bool:
    return sum(_SPOT.fullmatch(name) is not None for name in names) > len(names) / 2


def _header(path: Path) -> tuple[list[str], str]:
    """Return the names of the columns, of which the first is that of the names of rows, and what separates them."""
    lines = _first_lines(path)
    separator = _separator(lines[0])
    header, first = (next(csv.reader([line], delimiter=separator), []) for line in lines)
    # R writes no name for the column of row names
    if len(header) == len(first) - 1:
        header = ["", *header]
    if len(header) < 2 or len(header) != len(first):
        raise DataError(
            f"Expected a table of counts in '{path.name}', a row a profile and a column a gene, got {len(header)} "
            f"names for {len(first)} columns."
        )
    return [name.strip() for name in header], separator


def _blocks(path: Path, columns: Array, width: int, separator: str) -> Iterator[sparse.csr_matrix]:
    """Yield the counts of blocks of rows; a table is mostly zeros, which are dropped."""
    import pandas as pd

    rows = pd.read_csv(
        path,
        sep=separator,
        header=None,
        skiprows=1,
        names=range(width),
        usecols=columns.tolist(),
        index_col=False,
        chunksize=block_rows(len(columns)),
        encoding="utf-8-sig",
        low_memory=False,
    )
    at = 2
    try:
        for part in rows:
            values = part.to_numpy(dtype=np.float64)
            if not np.isfinite(values).all():
                line = at + int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
                raise DataError(
                    f"Expected {len(columns)} counts in line {line} of '{path.name}', got fewer. Copy it again."
                )
            yield sparse.csr_matrix(values)
            at += len(part)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"Expected nothing but counts in '{path.name}', got something else ({reason}). Leave out columns that are "
            "no genes, or copy it again."
        ) from error


def _first_lines(path: Path) -> tuple[str, str]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            first, second = (stream.readline().decode("utf-8-sig").rstrip("\r\n") for _ in range(2))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' is damaged, cut short or no table ({error}). Copy it again.") from error
    return first, second


def _separator(line: str) -> str:
    """Return what a line has most of: tabulators, commas or semicolons."""
    return max("\t,;", key=line.count)
