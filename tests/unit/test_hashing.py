"""Fingerprints follow content and nothing else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histosge._runtime.hashing import fingerprint, fingerprint_file

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


def test_fingerprint_covers_dataclasses_and_refuses_other_objects() -> None:
    """The fields of a dataclass count; an object without content is an error."""
    assert fingerprint(Pair(1, "a")) != fingerprint(Pair(1, "b"))
    with pytest.raises(TypeError, match="expected a plain value"):
        fingerprint(object())


def test_fingerprint_of_a_file_follows_its_content(tmp_path: Path) -> None:
    """Equal bytes have equal fingerprints under any name."""
    first, second = tmp_path / "one", tmp_path / "two"
    first.write_bytes(b"abc")
    second.write_bytes(b"abc")
    assert fingerprint_file(first) == fingerprint_file(second)
    second.write_bytes(b"abd")
    assert fingerprint_file(first) != fingerprint_file(second)
