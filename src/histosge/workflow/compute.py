"""Where and how to compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from histosge._runtime.device import Precision, resolve_device, resolve_precision
from histosge._runtime.messages import Message
from histosge.encoders.base import Setup
from histosge.models.base import Model, Runtime

from .executors import Executor, FitWorkers

__all__ = ["Compute", "Progress"]

# called with (done, total, text) as work proceeds
Progress: TypeAlias = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Compute:
    """Device, precision and folders of a computation; none of them decides what is computed.

    Parameters
    ----------
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:0"``, ``"mps"``, or ``"auto"`` for the fastest one of this computer. The default
        is ``"cpu"``: the same seed gives the same bits on one kind of CPU, with the same libraries and number of
        threads. Several, such as ``"cuda:0,cuda:1"``, share the patches and tiles of networks; models are fitted on
        the first.
    precision
        ``"fp32"``, ``"bf16"``, or ``"auto"``: bf16 on CUDA devices, fp32 elsewhere.
    weights
        Local file of the encoder's weights; ``None`` downloads them. Of several encoders, files by the name of the
        encoder: ``{"uni": "pytorch_model.bin"}``.
    store
        Folder in which image features are kept and reused; ``None`` computes them in memory.
    progress
        Called with (done, total, text) as work proceeds.
    compiled
        Whether PyTorch compiles the networks of encoders: convolutional ones ran half as fast again on a CPU in fp32,
        but the first batch takes minutes (docs/results/speed.md). The default is ``False``: features change in their
        last digits.
    executor
        Whose workers compute the sums of a fit to very many spots (:meth:`~histosge.models.base.Model.reads_sparse`);
        entered already. ``None``: this process does.

    Raises
    ------
    UsageError
        For a device that this computer does not have, or another precision.

    Examples
    --------
    >>> import histosge as hs
    >>> hs.Compute(device="auto").device in ("cpu", "cuda", "mps")
    True
    """

    device: str = "cpu"
    precision: str = "auto"
    weights: str | Path | Mapping[str, str | Path] | None = None
    store: str | Path | None = None
    progress: Progress | None = None
    compiled: bool = False
    executor: Executor | None = None

    def __post_init__(self) -> None:
        # the CPU is always there; other devices are looked up in PyTorch, which takes a second to import
        if self.device != "cpu":
            names = (name.strip() for name in self.device.split(","))
            object.__setattr__(self, "device", ",".join(map(resolve_device, names)))
        object.__setattr__(self, "precision", resolve_precision(self.precision, self.device))

    @property
    def setup(self) -> Setup:
        """What loading an encoder needs."""
        if isinstance(self.weights, Mapping):
            named = tuple((name, Path(path)) for name, path in sorted(self.weights.items()))
            setup = Setup(self._devices[0], self._resolved, named_weights=named)
        else:
            weights = None if self.weights is None else Path(self.weights)
            setup = Setup(self._devices[0], self._resolved, weights)
        shared = self._devices if len(self._devices) > 1 else ()
        return replace(setup, compiled=self.compiled, devices=shared)

    def runtime(self, *, checkpoint: Path | None = None) -> Runtime:
        """Return what fitting a model needs; training resumes from ``checkpoint``."""
        return Runtime(self._devices[0], self._resolved, checkpoint, self.progress)

    @contextmanager
    def workers(self, folder: Path | None) -> Iterator[FitWorkers | None]:
        """Yield the workers of a fit, whose data are in ``folder`` as long as it lasts; ``None`` where there are none.

        Parameters
        ----------
        folder
            On storage that all workers reach; ``None``: a temporary one of this machine.
        """
        if self.executor is None:
            yield None
            return
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".workers.", dir=folder) as name:
            yield FitWorkers(self.executor, Path(name))

    def unused_workers(self, model: Model, spots: int) -> tuple[Message, ...]:
        """Return a message where workers are given to a fit that this process makes alone."""
        if self.executor is None or model.reads_sparse(spots):
            return ()
        return (
            Message("warning", f"Not used: other workers. A fit to {spots} spots is made by one process."),
        )

    def with_store(self, folder: Path) -> Compute:
        """Return the same with image features kept in ``folder``, unless a store is set already."""
        return self if self.store is not None else replace(self, store=folder)

    @property
    def _devices(self) -> tuple[str, ...]:
        return tuple(self.device.split(","))

    @property
    def _resolved(self) -> Precision:
        return "bf16" if self.precision == "bf16" else "fp32"
