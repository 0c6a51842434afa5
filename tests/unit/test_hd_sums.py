"""Narrow bins of Visium HD are summed to what can be known, and never fill the memory."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from histosge.datasets.visium_hd import HDCapture, write_visium_hd
from histosge.errors import DataError, UsageError
from histosge.io.readers import hd_size, read
from histosge.io.readers.hd_size import reading_bytes

NARROW = "outs/binned_outputs/square_002um"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A section of bins of 2, 8 and 16 µm."""
    capture = HDCapture(side_mm=0.2, margin_mm=0.0, genes=60, molecules=100.0, seed=1)
    return write_visium_hd(tmp_path_factory.mktemp("hd") / "section", capture, mpp=1.0)


@pytest.fixture
def narrow(folder: Path, tmp_path: Path) -> Path:
    """The bins of 2 µm alone."""
    shutil.copytree(folder / NARROW, tmp_path / NARROW)
    return tmp_path / "outs"


def test_sums_are_the_bins_that_space_ranger_writes(folder: Path, narrow: Path) -> None:
    """Counts, names and positions of summed bins equal those of the wider bins of the same section."""
    for bin_um in (8, 16):
        summed, stored = read(narrow, bin_um=bin_um), read(folder / "outs", bin_um=bin_um)
        assert (summed.counts != stored.counts).nnz == 0
        assert summed.spots.ids.tolist() == stored.spots.ids.tolist()
        assert np.allclose(summed.spots.xy, stored.spots.xy, atol=1e-6)
        assert any("are sums of the counts" in message.text for message in summed.messages)


def test_without_a_width_bins_are_summed_until_they_hold_enough(narrow: Path) -> None:
    """The narrowest width with 50 molecules (median) is taken, and the reason is said."""
    section = read(narrow)
    assert section.pitch_um == pytest.approx(8.0)
    assert any(
        "molecules (median); they were summed to bins of 8 µm" in message.text for message in section.messages
    )


def test_narrow_bins_that_are_asked_for_are_read_with_a_warning(narrow: Path) -> None:
    """`bin_um` 2, or the folder of these bins, is followed; the warning names a width that tells more."""
    with pytest.warns(UserWarning, match="too few to tell most genes; bins of 8 µm"):
        section = read(narrow, bin_um=2)
    assert section.pitch_um == pytest.approx(2.0)
    with pytest.warns(UserWarning, match="too few"):
        assert len(read(narrow / "binned_outputs/square_002um")) == len(section)


def test_a_width_that_is_no_multiple_is_refused(narrow: Path) -> None:
    """Bins of 2 µm make no bins of 5."""
    with pytest.raises(UsageError, match="Expected bins of 5 µm"):
        read(narrow, bin_um=5)


def test_bins_that_do_not_fit_into_memory_are_refused(narrow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names what is needed, what is free, and the cure; sums need less."""
    monkeypatch.setattr(hd_size, "available_bytes", lambda: 0.3e9)
    with pytest.raises(UsageError, match=r"GiB are free\. Read wider bins \(`bin_um` 8 or 16\)"):
        read(narrow, bin_um=2)
    assert reading_bytes(11_000_000, 120_000_000, summed=True) < 0.6 * reading_bytes(11_000_000, 120_000_000)


def test_damaged_narrow_bins_are_refused(narrow: Path) -> None:
    """An index beyond the genes, which fewer bits could hide, and other names are errors, not other counts."""
    path = narrow / "binned_outputs/square_002um/filtered_feature_bc_matrix.h5"
    with h5py.File(path, "r+") as file:
        before = int(file["matrix/indices"][3])
        file["matrix/indices"][3] = 2**32 + before
    for bin_um in (2, 8):
        with pytest.raises(DataError, match="an index out of range"):
            read(narrow, bin_um=bin_um)
    with h5py.File(path, "r+") as file:
        file["matrix/indices"][3] = before
        file["matrix/barcodes"][5] = b"AAACCCAAGAAACACT-1"
    with pytest.raises(DataError, match="names that are not those of bins"):
        read(narrow, bin_um=8)
