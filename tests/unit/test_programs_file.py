"""Gene programs in a file."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest
from program_samples import adata_of, counts_of

import histosge as hs
from histosge.errors import DataError, UsageError


@pytest.fixture
def written(tmp_path: Path) -> Path:
    programs = hs.programs.build(adata_of(counts_of()), licence="CC BY 4.0", source="simulated")
    return hs.programs.write(programs, tmp_path / "a.programs.h5")


def test_a_file_holds_everything(written: Path) -> None:
    """What is read is what was written: directions, names, sources, licence and the sample for audits."""
    first = hs.programs.build(adata_of(counts_of()), licence="CC BY 4.0", source="simulated")
    second = hs.programs.read(written)
    assert second.fingerprint == first.fingerprint
    assert second.sources == first.sources
    assert (second.licence, second.source, second.species) == ("CC BY 4.0", "simulated", "human")
    assert (second.samples[0].counts != first.samples[0].counts).nnz == 0


def test_the_same_data_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    """Two files of the same data are equal."""
    programs = hs.programs.build(adata_of(counts_of()), licence="CC BY 4.0", source="simulated")
    assert hs.programs.write(programs, tmp_path / "b.programs.h5").read_bytes() == written.read_bytes()


def test_a_changed_file_is_refused(written: Path) -> None:
    """One changed byte, and a file that was cut off, end with a sentence."""
    content = bytearray(written.read_bytes())
    content[len(content) // 2] ^= 1
    written.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged"):
        hs.programs.read(written)
    written.write_bytes(bytes(content[:500]))
    with pytest.raises(DataError, match="damaged"):
        hs.programs.read(written)


def test_a_file_of_another_version_is_refused(written: Path) -> None:
    """A layout of a later release is not read as if it were this one."""
    with h5py.File(written, "a") as file:
        file.attrs["version"] = 99
    with pytest.raises(DataError, match=r"version 1.*got version 99"):
        hs.programs.read(written)


def test_directions_of_other_genes_are_refused(written: Path) -> None:
    """A rewritten file whose parts do not fit is refused."""
    with h5py.File(written, "a") as file:
        values = file["directions"][:, :-1]
        del file["directions"]
        file["directions"] = values
    with pytest.raises(DataError):
        hs.programs.read(written)


def test_other_files_are_neither_read_nor_replaced(tmp_path: Path) -> None:
    """An h5ad is no gene programs, and is not overwritten by some."""
    adata_of(counts_of()).write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(DataError, match="no gene programs"):
        hs.programs.read(tmp_path / "a.h5ad")
    before = (tmp_path / "a.h5ad").read_bytes()
    with pytest.raises(UsageError, match="choose another"):
        hs.programs.write(hs.programs.build(adata_of(counts_of())), tmp_path / "a.h5ad")
    assert (tmp_path / "a.h5ad").read_bytes() == before
    with pytest.raises(UsageError, match="found no file"):
        hs.programs.read(tmp_path / "nothing.programs.h5")
