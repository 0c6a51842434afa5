"""Files with a checksum at their end are refused once a bit of them has changed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from histosge._runtime.sealed_files import refuse_broken_seal, seal


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """An HDF5 file with a checksum."""
    path = tmp_path / "numbers.h5"
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(1000)
    seal(path)
    return path


def test_every_flipped_bit_is_noticed(sealed: Path) -> None:
    """Of the content and of the checksum; the whole file is accepted, and HDF5 reads it."""
    refuse_broken_seal(sealed)
    with h5py.File(sealed) as file:
        assert file["numbers"][999] == 999
    content = sealed.read_bytes()
    for at in (0, 100, len(content) // 2, len(content) - 60, len(content) - 5):
        sealed.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(ValueError, match="checksum"):
            refuse_broken_seal(sealed)


def test_a_program_that_writes_the_file_again_leaves_the_checksum_out(sealed: Path) -> None:
    """HDF5 cuts off what follows its last object, so that a file changed on purpose is accepted."""
    with h5py.File(sealed, "r+") as file:
        file["numbers"][0] = 7
        file["further"] = np.arange(3)
    refuse_broken_seal(sealed)
    with h5py.File(sealed) as file:
        assert file["numbers"][0] == 7


def test_short_files_have_no_checksum(tmp_path: Path) -> None:
    """An empty file is for its reader to refuse."""
    (tmp_path / "empty").touch()
    refuse_broken_seal(tmp_path / "empty")
