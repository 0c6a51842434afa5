"""Devices and precisions are resolved from words."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from histosge._runtime.device import has_deep, resolve_device, resolve_precision
from histosge.errors import UsageError


def test_devices_and_precisions_that_do_not_exist_are_refused() -> None:
    """An unknown device or precision is refused."""
    assert resolve_device("cpu") == "cpu"
    assert resolve_precision("auto", "cpu") == "fp32"
    assert resolve_precision("auto", "cuda:0") == "bf16"
    with pytest.raises(UsageError, match="`device`"):
        resolve_device("abacus")
    with pytest.raises(UsageError, match="fp32 or bf16"):
        resolve_precision("fp8", "cpu")


def test_torch_is_not_imported_where_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a driver `auto` is the CPU, and PyTorch, whose import takes seconds, is not asked."""
    if not has_deep() or sys.platform != "linux" or Path("/dev/kfd").exists():
        pytest.skip("needs PyTorch, and Linux without AMD's driver")

    def missing(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", missing)
    # an import of it would fail
    monkeypatch.setitem(sys.modules, "torch", None)
    assert resolve_device("auto") == "cpu"
