"""A step of training that memory has no room for is refused before the system ends the program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import histosge as hs
from histosge._runtime import device as _device
from histosge.errors import UsageError
from histosge.models.deep import memory as _memory
from histosge.models.deep import system as _deep
from histosge.models.deep.memory import bytes_a_window, refuse_too_large

SECTION = hs.synthetic(columns=6, rows=6, genes=8).section
SMALL = {"epochs": 1, "backbone": "test_resnet", "network_px": 32, "initialisation": "random", "batch": 32}


def chain(width: int) -> Any:
    return torch.nn.Sequential(
        torch.nn.Linear(10, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.Tanh()
    )


def loss(network: Any, windows: int) -> Any:
    found: Any = network(torch.ones(windows, 10)).sum()
    return found


@pytest.mark.parametrize("width", [7, 300])
def test_what_a_window_leaves_is_its_activations(width: int) -> None:
    """Of a chain of layers: the input, what comes of the rectifier, and the last output; four bytes a number."""
    assert bytes_a_window(chain(width), loss) == 4 * (10 + width + width)


def test_the_network_itself_is_not_touched() -> None:
    """Running means of a batch norm and all weights are as they were."""
    network = torch.nn.Sequential(torch.nn.Linear(10, 4), torch.nn.BatchNorm1d(4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    bytes_a_window(network, loss)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_the_batch_that_is_advised_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """With little memory a large batch is refused in a sentence, and the one that it names is not."""
    monkeypatch.setattr(_memory, "free_memory_bytes", lambda device: 4_000_000)
    with pytest.raises(UsageError, match="Take fewer with --set batch=") as caught:
        refuse_too_large(chain(300), loss, 5000, "cpu")
    advised = int(str(caught.value).split("batch=")[1].rstrip("."))
    assert 2 <= advised < 5000
    refuse_too_large(chain(300), loss, advised, "cpu")
    with pytest.raises(UsageError):
        refuse_too_large(chain(300), loss, advised + 1, "cpu")
    monkeypatch.setattr(_memory, "free_memory_bytes", lambda device: 1000)
    with pytest.raises(UsageError, match="another machine"):
        refuse_too_large(chain(300), loss, 5000, "cpu")


def test_a_fit_is_refused_and_otherwise_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """ST-Net says so before it trains; where there is room, looking changes no bit of the fit."""
    recipe = hs.Recipe("stnet", options=SMALL, genes="all")
    looked = hs.fit(SECTION, recipe).predictor.arrays()
    monkeypatch.setattr(_deep, "refuse_too_large", lambda *given: None)
    blind = hs.fit(SECTION, recipe).predictor.arrays()
    assert all(np.array_equal(value, blind[name]) for name, value in looked.items())
    monkeypatch.undo()
    monkeypatch.setattr(_memory, "free_memory_bytes", lambda device: 3_000_000)
    with pytest.raises(UsageError, match="A step of 32 windows needs about"):
        hs.fit(SECTION, recipe)


def test_free_memory_is_that_of_the_machine() -> None:
    """On Linux it is no more than what is free at all; devices that cannot say are not asked."""
    free = _device.free_memory_bytes("cpu")
    assert free is None or 1e6 < free < 1e14
    assert _device.free_memory_bytes("mps") is None
