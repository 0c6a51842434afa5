"""Whether a step of training fits into memory, before the system ends the program without a word."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

from histosge._runtime.device import free_memory_bytes
from histosge.errors import UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["bytes_a_window", "refuse_too_large"]

# of what is kept for the way back: gradients and buffers on top
_ON_TOP = 1.2
_PROBED = 2


def refuse_too_large(
    network: torch.nn.Module, loss: Callable[[torch.nn.Module, int], torch.Tensor], batch: int, device: str
) -> None:
    """Refuse a batch whose step needs more memory than is free.

    Parameters
    ----------
    network
        To be trained; a copy of it is tried.
    loss
        Of a network on so many windows.
    batch
        Windows a step.
    device
        Where it is trained; nothing is refused where it cannot say how much memory is free.

    Raises
    ------
    UsageError
        With a batch that would fit.
    """
    free = free_memory_bytes(device)
    if free is None or batch <= _PROBED:
        return
    each = _ON_TOP * bytes_a_window(network, loss)
    # the network's gradients, and two moments of each
    fixed = 3 * sum(value.numel() * value.element_size() for value in network.parameters())
    if fixed + batch * each <= free:
        return
    fits = int((free - fixed) // each)
    advice = (
        f"Take fewer with --set batch={fits}."
        if fits >= _PROBED
        else "Take smaller windows, or another machine."
    )
    raise UsageError(
        f"A step of {batch} windows needs about {(fixed + batch * each) / 1e9:.0f} GB of memory, and "
        f"{free / 1e9:.0f} GB are free. {advice}"
    )


def bytes_a_window(network: torch.nn.Module, loss: Callable[[torch.nn.Module, int], torch.Tensor]) -> float:
    """Return what a window leaves in memory for the way back: measured on a copy of the network and two windows."""
    import torch

    tried = copy.deepcopy(network).train()
    own = {value.untyped_storage().data_ptr() for value in (*tried.parameters(), *tried.buffers())}
    held: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        kept = loss(tried, _PROBED)
    del kept
    return sum(held.values()) / _PROBED
