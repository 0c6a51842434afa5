"""Registries offer near misses."""

from __future__ import annotations

import pytest

from histosge._runtime.registry import Registry
from histosge.errors import UsageError
from histosge.io.readers import Reader


def test_a_registry_offers_near_misses() -> None:
    """An unknown name is refused with similar names; where there are none, with all of them."""
    registry: Registry[Reader] = Registry("reader", Reader, ["histosge.io.readers"])
    assert registry["visium"].name == "visium"
    with pytest.raises(UsageError, match="Did you mean visium"):
        registry["visum"]
    with pytest.raises(UsageError, match="Known: h5ad, image, legacy_st, spatialdata, visium, visium_hd"):
        registry["xylophone"]
