"""Compute options: device and precision are resolved once."""

from __future__ import annotations

from pathlib import Path

import pytest

import histosge as hs


def test_auto_is_resolved() -> None:
    """``auto`` becomes a device of this computer, and the precision that belongs to it."""
    compute = hs.Compute(device="auto")
    assert compute.device in ("cpu", "cuda", "mps")
    assert compute.precision == ("bf16" if compute.device == "cuda" else "fp32")
    assert compute.runtime().device == compute.setup.device == compute.device


def test_the_default_is_a_cpu_in_single_precision() -> None:
    """There the same seed gives the same bits."""
    assert (hs.Compute().device, hs.Compute().precision) == ("cpu", "fp32")


def test_unknown_devices_and_precisions_are_refused() -> None:
    """Each in a sentence that lists what there is."""
    with pytest.raises(hs.UsageError, match="abacus"):
        hs.Compute(device="abacus")
    with pytest.raises(hs.UsageError, match="fp32 or bf16"):
        hs.Compute(precision="fp7")


def test_a_store_of_its_own_is_kept(tmp_path: Path) -> None:
    """Folders may be text; the store that a user names is not replaced."""
    compute = hs.Compute(store=str(tmp_path))
    assert compute.store == str(tmp_path)
    assert compute.with_store(tmp_path / "other").store == str(tmp_path)
    assert hs.Compute().with_store(tmp_path / "other").store == tmp_path / "other"
