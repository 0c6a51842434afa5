"""The ground floor: fingerprints, atomic files, registries, devices."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histosge._runtime.atomic_files import atomic_path, output_errors, writable_folder
from histosge._runtime.device import resolve_device, resolve_precision
from histosge._runtime.hashing import fingerprint, fingerprint_file
from histosge._runtime.registry import Registry
from histosge.errors import DataError, HistosgeError, OutputError, UsageError, WeightsError
from histosge.io.readers import Reader

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())


@dataclass(frozen=True)
class Pair:
    left: int
    right: str


@given(PLAIN, PLAIN)
def test_fingerprints_differ_unless_values_are_equal_in_type_and_content(
    first: object, second: object
) -> None:
    """Two plain values share a fingerprint exactly when type and text agree."""
    same = type(first) is type(second) and repr(first) == repr(second)
    assert (fingerprint(first) == fingerprint(second)) is same


@given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=2, max_side=4)))
def test_fingerprint_of_an_array_ignores_memory_layout(array: np.ndarray) -> None:
    """An array and its Fortran-ordered copy have one fingerprint; another dtype or shape has another."""
    assert fingerprint(array) == fingerprint(np.asfortranarray(array))
    assert fingerprint(array) != fingerprint(array.astype(np.float64))
    assert fingerprint(array) != fingerprint(array[None])


def test_fingerprint_is_the_same_in_another_process() -> None:
    """No address, hash seed or process state enters a fingerprint."""
    code = "from histosge._runtime.hashing import fingerprint; print(fingerprint({'b': 1, 'a': [None, 2.5, 'x']}))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert other == fingerprint({"a": [None, 2.5, "x"], "b": 1})


def test_fingerprint_knows_dataclasses_and_refuses_the_unknown() -> None:
    """Fields count, and an object without a content is an error rather than an address."""
    assert fingerprint(Pair(1, "a")) != fingerprint(Pair(1, "b"))
    with pytest.raises(TypeError, match="expected a plain value"):
        fingerprint(object())


def test_fingerprint_of_a_file_follows_its_content(tmp_path: Path) -> None:
    """Equal bytes have equal fingerprints under any name."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"abc")
    two.write_bytes(b"abc")
    assert fingerprint_file(one) == fingerprint_file(two)
    two.write_bytes(b"abd")
    assert fingerprint_file(one) != fingerprint_file(two)


def _write_half(path: Path) -> None:
    with atomic_path(path) as draft:
        draft.write_text("half")
        raise InterruptedError


def test_an_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failure half-way leaves the old file and no debris."""
    path = tmp_path / "result"
    path.write_text("old")
    with pytest.raises(InterruptedError):
        _write_half(path)
    assert path.read_text() == "old"
    with atomic_path(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["result"]


def test_an_atomic_folder_replaces_the_previous_one(tmp_path: Path) -> None:
    """A folder is replaced as a whole."""
    path = tmp_path / "store"
    for name in ("first", "second"):
        with atomic_path(path) as draft:
            draft.mkdir()
            (draft / name).touch()
    assert [item.name for item in path.iterdir()] == ["second"]
    assert [item.name for item in tmp_path.iterdir()] == ["store"]


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    """ENOSPC becomes an error that says what to do."""
    with pytest.raises(OutputError, match="disk is full"), output_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EFBIG])
def test_quotas_are_full_disks(tmp_path: Path, number: int) -> None:
    """A user's quota and a system's limit are told like a full disk."""
    with pytest.raises(OutputError, match="disk is full"), output_errors(tmp_path):
        raise OSError(number, "no more")


@pytest.mark.parametrize("tail", ["file/x", "file/x/y", "a" * 300])
def test_impossible_output_folders_are_refused(tmp_path: Path, tail: str) -> None:
    """Below a file, or with a name that no file system takes."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="Choose another `out`"):
        writable_folder(tmp_path / tail)
    with pytest.raises(UsageError, match="Choose another `out`"), atomic_path(tmp_path / tail / "f.txt"):
        pass


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    """Its temporary folder goes with the next attempt; that of a living process stays."""
    code = f"""
from histosge._runtime.atomic_files import atomic_path
from pathlib import Path
import os
with atomic_path(Path({str(tmp_path / "f.txt")!r})) as draft:
    draft.write_text("half")
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    with atomic_path(tmp_path / "f.txt") as outer:
        outer.write_text("first")
        with atomic_path(tmp_path / "f.txt") as inner:
            inner.write_text("second")
        assert outer.exists()
    assert (tmp_path / "f.txt").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["f.txt"]


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """--out must be a folder or nothing."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(UsageError, match="is a file"):
        writable_folder(path)


def test_exit_codes_are_those_documented() -> None:
    """2 usage, 3 data and output, 4 weights, 1 everything else."""
    kinds = (UsageError, DataError, OutputError, WeightsError, HistosgeError)
    assert [kind.exit_code for kind in kinds] == [2, 3, 3, 4, 1]


def test_a_registry_offers_near_misses() -> None:
    """An unknown name is refused with similar names; where there are none, with all of them."""
    registry: Registry[Reader] = Registry("reader", Reader, ["histosge.io.readers"])
    assert registry["visium"].name == "visium"
    with pytest.raises(UsageError, match="Did you mean visium"):
        registry["visum"]
    with pytest.raises(UsageError, match="Known: h5ad, image, legacy_st, spatialdata, visium, visium_hd"):
        registry["xylophone"]


def test_devices_and_precisions_that_do_not_exist_are_refused() -> None:
    """An unknown device or precision is refused."""
    assert resolve_device("cpu") == "cpu"
    assert resolve_precision("auto", "cpu") == "fp32"
    assert resolve_precision("auto", "cuda:0") == "bf16"
    with pytest.raises(UsageError, match="`device`"):
        resolve_device("abacus")
    with pytest.raises(UsageError, match="fp32 or bf16"):
        resolve_precision("fp8", "cpu")


def test_memory_is_that_of_the_process_alone() -> None:
    """A small process begun by a large one says what it took itself."""
    held = np.ones(100_000_000)
    script = "from histosge._runtime.provenance import peak_memory_bytes; print(peak_memory_bytes())"
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert held.nbytes == 800_000_000
    assert int(told.stdout) < 500_000_000
