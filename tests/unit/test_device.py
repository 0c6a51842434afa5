"""Devices and precisions are resolved from words."""

from __future__ import annotations

import pytest

from histosge._runtime.device import resolve_device, resolve_precision
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
