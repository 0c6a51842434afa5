"""Batches: windows of spots, shuffled batches, and batches that are too large for memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import histosge as hs
from histosge._runtime import device as _device
from histosge.errors import UsageError
from histosge.models.deep import batches as _batches
from histosge.models.deep import system_task as _system_task
from histosge.models.deep.batches import Batching, bytes_per_spot, refuse_too_large, windows

SECTION = hs.synthetic(columns=6, rows=6, genes=8).section
SMALL = {"epochs": 1, "backbone": "test_resnet", "network_px": 32, "initialisation": "random", "batch": 32}


def chain(width: int) -> Any:
    return torch.nn.Sequential(
        torch.nn.Linear(10, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.Tanh()
    )


def loss(network: Any, spots: int) -> Any:
    total: Any = network(torch.ones(spots, 10)).sum()
    return total


@pytest.mark.parametrize("width", [7, 300])
def test_memory_per_spot_is_that_of_its_activations(width: int) -> None:
    """A chain of layers stores its input, the output of the rectifier and the last output: four bytes a number."""
    assert bytes_per_spot(chain(width), loss) == 4 * (10 + width + width)


def test_measuring_memory_leaves_the_network_as_it_is() -> None:
    """Running means of a batch norm and all weights are as they were."""
    network = torch.nn.Sequential(torch.nn.Linear(10, 4), torch.nn.BatchNorm1d(4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    bytes_per_spot(network, loss)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_the_advised_batch_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """With little memory a large batch is refused in a sentence, and the batch it advises is accepted."""
    monkeypatch.setattr(_batches, "free_memory_bytes", lambda device: 4_000_000)
    with pytest.raises(UsageError, match="Set `batch` to") as caught:
        refuse_too_large(chain(300), loss, 5000, "cpu")
    advised = int(str(caught.value).split("Set `batch` to ")[1].rstrip("."))
    assert 2 <= advised < 5000
    refuse_too_large(chain(300), loss, advised, "cpu")
    with pytest.raises(UsageError):
        refuse_too_large(chain(300), loss, advised + 1, "cpu")
    monkeypatch.setattr(_batches, "free_memory_bytes", lambda device: 1000)
    with pytest.raises(UsageError, match="a computer with more memory"):
        refuse_too_large(chain(300), loss, 5000, "cpu")


def test_a_fit_is_refused_and_otherwise_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """ST-Net is refused before it trains; where memory suffices, measuring it changes no bit of the fit."""
    recipe = hs.Recipe("stnet", options=SMALL, genes="all")
    measured = hs.fit(SECTION, recipe).predictor.arrays()
    monkeypatch.setattr(_system_task, "refuse_too_large", lambda *arguments: None)
    unmeasured = hs.fit(SECTION, recipe).predictor.arrays()
    assert all(np.array_equal(value, unmeasured[name]) for name, value in measured.items())
    monkeypatch.undo()
    monkeypatch.setattr(_batches, "free_memory_bytes", lambda device: 3_000_000)
    with pytest.raises(UsageError, match="A training step of 32 patches needs about"):
        hs.fit(SECTION, recipe)


def test_free_memory_is_reported_where_the_system_does() -> None:
    """On Linux it is a plausible number of bytes; devices that do not report it give none."""
    free = _device.free_memory_bytes("cpu")
    assert free is None or 1e6 < free < 1e14
    assert _device.free_memory_bytes("mps") is None


@pytest.mark.parametrize("order", ["file", "random", "spatial"])
@pytest.mark.parametrize("n", [2, 49, 50, 51, 237])
def test_windows_hold_every_row_once(n: int, order: str) -> None:
    """Windows are a partition; none is larger than asked, and in file order they are as equal as can be."""
    xy_um = np.random.default_rng(0).uniform(0, 1000, (n, 2))
    parts = windows(xy_um, 50, order)  # type: ignore[arg-type]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert max(map(len, parts)) <= 50
    if order == "file":
        assert np.ptp([len(part) for part in parts]) <= 1
        assert np.array_equal(np.concatenate(parts), np.arange(n))


def test_windows_of_a_dlpfc_section_are_the_published_ones() -> None:
    """1820 training spots make 30 windows of 49 and 7 of 50, as the released code cuts section 151673."""
    sizes = [len(part) for part in windows(np.zeros((1820, 2)), 50)]
    assert (sizes.count(49), sizes.count(50)) == (30, 7)


def test_spatial_windows_are_compact() -> None:
    """Cutting by position keeps neighbours together: such windows are much smaller than those of random spots."""
    xy_um = np.random.default_rng(0).uniform(0, 1000, (400, 2))
    sd = {
        order: np.mean([xy_um[part].std(axis=0).mean() for part in windows(xy_um, 50, order)])  # type: ignore[arg-type]
        for order in ("random", "spatial")
    }
    assert sd["spatial"] < 0.5 * sd["random"]


def test_batches_hold_every_row_once_and_none_has_a_single_row() -> None:
    """An epoch's batches hold every row once; no batch has a single row, which has no variance."""
    rng = np.random.default_rng(0)
    for number, batch in ((33, 32), (65, 32), (5, 2), (3, 8)):
        parts = Batching(batch).batches(np.arange(number), rng)
        assert sorted(np.concatenate(parts).tolist()) == list(range(number))
        assert min(map(len, parts)) > 1
    xy = np.zeros((33, 2))
    of_ten = Batching(window=10).windows(np.arange(33), xy)
    assert sorted(map(len, of_ten)) == [8, 8, 8, 9]
    assert len(Batching(window=0).windows(np.arange(33), xy)) == 1
    together = list(Batching(2, window=10).window_batches(of_ten, rng))
    assert len(together[0]) in (16, 17)
    assert sorted(np.concatenate(together).tolist()) == list(range(33))
