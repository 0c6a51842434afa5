"""Gene programs as a file: HDF5 with a checksum, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from scipy import sparse

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.sealed_files import seal
from histosge._runtime.types import Array
from histosge.errors import DataError, UsageError
from histosge.io.hdf5.anndata_file import no_damage
from histosge.io.hdf5.stored_matrix import checked

from .gene_names import GeneNames, united
from .gene_programs import MoleculeSample, Programs, ProgramSource

__all__ = ["is_programs", "read_programs", "refuse_other_file", "write_programs"]

_KIND = "histosge gene programs"
# raised whenever the layout or the meaning of its parts changes
_VERSION = 1
_PACKED = {"compression": "gzip", "compression_opts": 4, "shuffle": True}


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of what is plain text."""

    species: str
    licence: str
    source: str
    sources: tuple[ProgramSource, ...]


def is_programs(path: Path) -> bool:
    """Return whether a file holds gene programs of any version."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("kind") == _KIND)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        return False


def refuse_other_file(path: Path) -> None:
    """Refuse to replace anything but gene programs.

    Raises
    ------
    UsageError
        Where something else is there.
    """
    if path.exists() and not is_programs(path):
        kind = "folder" if path.is_dir() else "file"
        raise UsageError(f"'{path}' is a {kind} that holds no gene programs; choose another `out`.")


def write_programs(programs: Programs, path: str | Path) -> Path:
    """Write gene programs to a file, by custom named ``….programs.h5``.

    Raises
    ------
    UsageError
        When another file is there, or the folder must not be written to.
    OutputError
        When the disk is full.
    """
    import h5py

    path = Path(path)
    refuse_other_file(path)
    with atomic_path(path) as draft:
        with h5py.File(draft, "w") as file:
            file.attrs.update({"kind": _KIND, "version": _VERSION})
            record = msgspec.json.encode(
                {
                    "species": programs.species,
                    "licence": programs.licence,
                    "source": programs.source,
                    "sources": [asdict(source) for source in programs.sources],
                }
            )
            parts: dict[str, Array] = {
                "record": np.frombuffer(record, dtype=np.uint8),
                "genes/symbols": np.char.encode(programs.genes.symbols, "utf-8"),
                "genes/ids": np.char.encode(programs.genes.ids, "utf-8"),
                "directions": programs.directions,
                "variances": programs.variances,
            }
            if programs.levels is not None:
                parts["levels"] = programs.levels
            for at, sample in enumerate(programs.samples):
                parts |= {f"samples/{at}/{name}": part for name, part in _parts(sample).items()}
            for name, part in parts.items():
                # text without a letter has a width that HDF5 does not know
                stored = part if part.dtype != np.dtype("S0") else part.astype("S1")
                file.create_dataset(name, data=stored, **(_PACKED if stored.size else {}))
        seal(draft)
    return path


def read_programs(path: str | Path) -> Programs:
    """Read gene programs.

    Raises
    ------
    UsageError
        When there is no file.
    DataError
        When it is damaged, holds something else, or was written by another version.
    """
    import h5py

    path = Path(path)
    with _clear(path), h5py.File(path, "r") as file:
        if file.attrs.get("kind") != _KIND:
            raise DataError(f"'{path}' holds no gene programs. Build them with `histosge programs build`.")
        version = int(file.attrs.get("version", 0))
        if version != _VERSION:
            raise DataError(
                f"Expected gene programs of version {_VERSION} in '{path}', got version {version}, of another release. "
                "Build them again from the data."
            )
        record = msgspec.json.decode(bytes(file["record"][:]), type=_Record)
        columns = (np.char.decode(file[f"genes/{name}"][:], "utf-8") for name in ("symbols", "ids"))
        samples = file.get("samples", {})
        names = GeneNames(*columns)
        # refuses a gene that is there twice
        united([names])
        return Programs(
            names,
            record.species,
            file["directions"][:],
            file["variances"][:],
            record.sources,
            levels=file["levels"][:] if "levels" in file else None,
            licence=record.licence,
            source=record.source,
            samples=tuple(_sample(samples[str(at)], len(file["genes/ids"])) for at in range(len(samples))),
        )


def _parts(sample: MoleculeSample) -> dict[str, Array]:
    counts = sample.counts
    return {
        "columns": sample.columns,
        "shape": np.array(counts.shape),
        "data": counts.data,
        "indices": counts.indices,
        "indptr": counts.indptr,
    }


def _sample(group: Any, genes: int) -> MoleculeSample:
    columns = np.asarray(group["columns"][:], dtype=np.intp)
    parts = (group["data"][:], group["indices"][:], group["indptr"][:])
    counts = sparse.csr_matrix(parts, shape=tuple(int(size) for size in group["shape"][:]))
    if len(columns) != counts.shape[1] or (columns < 0).any() or (columns >= genes).any():
        raise ValueError("columns out of range")
    return MoleculeSample(columns, checked(counts, "in it"))


@contextmanager
def _clear(path: Path) -> Iterator[None]:
    """Turn errors about a damaged file into a sentence."""
    if not path.is_file():
        raise UsageError(f"Expected gene programs, found no file '{path}'. Check the path.")
    with no_damage(
        path, "is damaged or holds no gene programs ({reason}). Copy it again, or build it again."
    ):
        yield
