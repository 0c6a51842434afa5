"""A full disk ends in one sentence, and previous results stay."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import histosge as hs
from histosge.datasets import synthetic
from histosge.encoders.feature_store import FeatureStore
from histosge.errors import OutputError
from histosge.io.writers import h5ad
from histosge.prediction.prediction import Prediction
from histosge.section.locations import upsampled

SECTION = synthetic(columns=10, rows=10, genes=30).section
LOCATIONS = upsampled(SECTION, 4)
MEAN = np.random.default_rng(0).normal(size=(len(LOCATIONS), 30)).astype(np.float32)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Make the operating system refuse writes beyond ``size`` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2, 0.5, 0.9, 0.99])
def test_a_prediction_that_does_not_fit_leaves_the_one_before(tmp_path: Path, share: float) -> None:
    """The previous file stays, at whatever byte the space ends, also while HDF5 closes the file."""
    path = h5ad.write(tmp_path / "p.h5ad", SECTION, Prediction(LOCATIONS, SECTION.genes, MEAN))
    before = path.read_bytes()
    with no_file_larger_than(int(share * len(before))), pytest.raises(OutputError, match="disk is full"):
        h5ad.write(path, SECTION, Prediction(LOCATIONS, SECTION.genes, MEAN))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["p.h5ad"]


def test_features_that_do_not_fit_are_kept_as_far_as_they_go(tmp_path: Path) -> None:
    """The failed chunk is missing; earlier chunks are stored."""
    shelf = FeatureStore(tmp_path).shelf("k", (300, 40), chunk_rows=100, summary={})
    rows = np.ones((100, 40), dtype=np.float32)
    shelf.put(0, rows)
    with no_file_larger_than(10_000), pytest.raises(OutputError, match="disk is full"):
        shelf.put(1, rows)
    assert shelf.missing() == [1, 2]


@pytest.mark.parametrize("size", [2_000, 60_000])
def test_a_fit_that_does_not_fit_is_a_sentence(tmp_path: Path, size: int) -> None:
    """The checkpoint of a network and the fit are refused with a sentence."""
    recipe = hs.Recipe(model="histosge", genes="all", options={"epochs": 2})
    with no_file_larger_than(size), pytest.raises(OutputError, match="disk is full"):
        hs.fit(SECTION, recipe, folder=tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
