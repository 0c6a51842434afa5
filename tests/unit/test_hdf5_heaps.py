"""HDF5 files with a damaged heap of text, over which the library would never return."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from histosge.errors import DataError
from histosge.io.hdf5.heaps import refuse_endless_heaps


def test_a_heap_that_does_not_advance_is_refused(tmp_path: Path) -> None:
    """Zeros in place of the free rest of a heap are refused; the whole file is not."""
    path = tmp_path / "a.h5ad"
    with h5py.File(path, "w") as file:
        file["text"] = ["some", "words", "of", "any length"]
    refuse_endless_heaps(path)
    content = bytearray(path.read_bytes())
    start = content.index(b"GCOL")
    content[start + 16 : start + 32] = bytes(16)
    path.write_bytes(content)
    with pytest.raises(DataError, match="a heap of text"):
        refuse_endless_heaps(path)
