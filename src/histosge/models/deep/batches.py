"""Which spots make a batch: windows of spots that attend to each other, and how many fit into memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from histosge._runtime.device import free_memory_bytes
from histosge._runtime.types import Array, Float, Int
from histosge.errors import UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["Batching", "WindowOrder", "bytes_per_spot", "refuse_too_large", "windows"]

WindowOrder: TypeAlias = Literal["file", "unordered", "random", "spatial"]

# gradients and buffers, on top of the activations that are stored for the backward pass
_OVERHEAD = 1.2
_MEASURED_SPOTS = 2
# mean squared distance within windows, of that between all spots, below which the order listed is one in space:
# 0.99 and more for barcodes, at most 0.65 on legacy arrays
_UNORDERED = 0.9


def windows(xy_um: Float[np.ndarray, "n 2"], size: int, order: WindowOrder = "file") -> list[Array]:
    """Cut spots into windows; return the rows of each. Together they hold every row once.

    Parameters
    ----------
    xy_um
        Positions, in any unit.
    size
        Most spots of a window. Windows are as equal as can be: 49 and 50, never 50 and 3.
    order
        ``"file"``: as listed. 10x Genomics lists barcodes alphabetically, so that this is random in space.
        ``"unordered"``: as listed where that is random in space, else drawn: legacy arrays are listed row by row.
        ``"random"``: shuffled, always in the same way. ``"spatial"``: neighbours together, by cutting the spots
        in half across the longer side until they fit.

    Raises
    ------
    UsageError
        For a size below 2.

    Examples
    --------
    >>> import numpy as np
    >>> [len(rows) for rows in windows(np.zeros((1820, 2)), 50)][:3]
    [50, 50, 50]
    """
    if size < 2:
        raise UsageError(f"`window_size` must be 2 or more, got {size}. The published code has 50.")
    rows = np.arange(len(xy_um))
    if order == "spatial":
        return _halved(xy_um, rows, size)
    if order == "random" or (order == "unordered" and _is_spatial(xy_um, _parts(rows, size))):
        rows = np.random.default_rng(0).permutation(rows)
    return _parts(rows, size)


def _parts(rows: Array, size: int) -> list[Array]:
    return [part for part in np.array_split(rows, -(-len(rows) // size)) if len(part)]


def _is_spatial(xy_um: Array, parts: list[Array]) -> bool:
    """Return whether spots of a window are nearer to each other than spots at random."""
    if len(parts) < 2:
        return False
    # the mean squared distance between points is twice their variance
    within = sum(((xy_um[part] - xy_um[part].mean(axis=0)) ** 2).sum() for part in parts)
    total = ((xy_um - xy_um.mean(axis=0)) ** 2).sum()
    n = len(xy_um)
    return bool(within / (n - len(parts)) < _UNORDERED * total / (n - 1))


def _halved(xy_um: Array, rows: Array, size: int) -> list[Array]:
    if len(rows) <= size:
        return [rows] if len(rows) else []
    axis = int(np.ptp(xy_um[rows], axis=0).argmax())
    ordered = rows[np.argsort(xy_um[rows, axis], kind="stable")]
    # half of the rows, not half of the extent, so that windows are equally large
    half = len(rows) // 2
    return _halved(xy_um, ordered[:half], size) + _halved(xy_um, ordered[half:], size)


@dataclass(frozen=True, slots=True)
class Batching:
    """Which spots a network receives together.

    Parameters
    ----------
    size
        Spots per step; with windows, windows per step.
    min_size
        Fewest spots of a step. A shorter rest joins the step before it: batch normalisation of one spot has no
        variance.
    window
        Spots of a window, which attend to each other; ``None``: spots are independent. 0: all of them are one
        window.
    order
        See :func:`windows`.
    by_section
        Whether spots of different sections are in different windows.
    """

    size: int = 1
    min_size: int = 2
    window: int | None = None
    order: WindowOrder = "file"
    by_section: bool = False

    def windows(
        self, rows: Array, xy: Float[np.ndarray, "n 2"], sections: Int[np.ndarray, " n"] | None = None
    ) -> list[Array]:
        """Return ``rows``, which lie at ``xy`` in ``sections``, cut into windows; one of all where there are none."""
        if self.by_section and sections is not None and len(np.unique(sections)) > 1:
            parts = [np.flatnonzero(sections == section) for section in np.unique(sections)]
            return [window for part in parts for window in self.windows(rows[part], xy[part])]
        if not self.window:
            return [rows]
        return [rows[part] for part in windows(xy, max(self.window, 2), self.order)]

    def batches(self, rows: Array, rng: np.random.Generator) -> list[Array]:
        """Return the shuffled batches of an epoch of independent spots."""
        # every epoch has other batches, which are drawn from the epoch's generator
        shuffled = rng.permutation(rows)
        starts = list(range(0, len(shuffled), self.size))
        if len(starts) > 1 and len(shuffled) - starts[-1] < self.min_size:
            starts.pop()
        return np.split(shuffled, starts[1:])

    def window_batches(self, windows: list[Array], rng: np.random.Generator) -> Iterator[Array]:
        """Yield the shuffled batches of an epoch of windows, each of ``size`` windows."""
        # windows stay whole: only their order changes
        order = rng.permutation(len(windows))
        for start in range(0, len(order), self.size):
            yield np.concatenate([windows[index] for index in order[start : start + self.size]])


def refuse_too_large(
    network: torch.nn.Module, loss: Callable[[torch.nn.Module, int], torch.Tensor], batch: int, device: str
) -> None:
    """Refuse a batch whose training step needs more memory than is free.

    The operating system ends a program that runs out of memory, without a message.

    Parameters
    ----------
    network
        To be trained; memory is measured on a copy.
    loss
        Of a network on so many spots.
    batch
        Spots per step.
    device
        Where it is trained; nothing is refused where the device does not report its free memory.

    Raises
    ------
    UsageError
        With a batch that would fit.
    """
    # a small batch is always tried: there is nothing smaller to advise
    free = free_memory_bytes(device)
    if free is None or batch <= _MEASURED_SPOTS:
        return
    per_spot = _OVERHEAD * bytes_per_spot(network, loss)
    # gradients of the weights, and Adam's two moments of each
    fixed = 3 * sum(value.numel() * value.element_size() for value in network.parameters())
    if fixed + batch * per_spot <= free:
        return
    fits = int((free - fixed) // per_spot)
    advice = (
        f"Set `batch` to {fits}."
        if fits >= _MEASURED_SPOTS
        else "Take smaller patches, or a computer with more memory."
    )
    raise UsageError(
        f"A training step of {batch} patches needs about {(fixed + batch * per_spot) / 1e9:.0f} GB of memory, and "
        f"{free / 1e9:.0f} GB are free. {advice}"
    )


def bytes_per_spot(network: torch.nn.Module, loss: Callable[[torch.nn.Module, int], torch.Tensor]) -> float:
    """Return the bytes of activations that a spot leaves for the backward pass, measured on two spots."""
    import torch

    # a copy: batch normalisation changes its running means while it is measured
    measured = copy.deepcopy(network).train()
    own = {value.untyped_storage().data_ptr() for value in (*measured.parameters(), *measured.buffers())}
    stored: dict[int, int] = {}

    def record(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            stored[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        # the loss keeps its graph, and with it all stored activations, alive until they are counted
        total = loss(measured, _MEASURED_SPOTS)
    del total
    return sum(stored.values()) / _MEASURED_SPOTS
