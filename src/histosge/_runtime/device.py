"""Where tensors are kept, in which precision, and how much memory there is."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

from histosge.errors import UsageError

__all__ = [
    "Precision",
    "device_name",
    "free_memory_bytes",
    "has_deep",
    "require_deep",
    "resolve_device",
    "resolve_precision",
    "seed_everything",
]

Precision: TypeAlias = Literal["fp32", "bf16"]

# what the extra ``deep`` installs and the package imports
_DEEP = ("torch", "torchvision", "timm", "torch_geometric", "huggingface_hub")


def has_deep() -> bool:
    """Return whether PyTorch and the packages beside it are installed; imports none of them."""
    with suppress(ImportError, ValueError):
        return all(find_spec(package) is not None for package in _DEEP)
    return False


def require_deep(what: str) -> None:
    """Refuse what needs PyTorch where it is not installed.

    Parameters
    ----------
    what
        Subject of the sentence: ``"The model 'histosge'"``.

    Raises
    ------
    UsageError
        With the command that installs it.
    """
    if not has_deep():
        raise UsageError(f"{what} needs PyTorch, which is not installed. Run `pip install 'histosge[deep]'`.")


def resolve_device(device: str = "auto") -> str:
    """Return ``"cuda"``, ``"mps"`` or ``"cpu"`` for ``"auto"``, or ``device`` itself once it is known to exist.

    Without PyTorch everything is computed on the CPU.

    Raises
    ------
    UsageError
        When there is no such device, or PyTorch is needed for it and not installed.

    Examples
    --------
    >>> resolve_device("cpu")
    'cpu'
    """
    if device == "cpu" or (device == "auto" and not (has_deep() and _may_accelerate())):
        return "cpu"
    require_deep(f"The device '{device}'")
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"Expected a device of this machine, got '{device}'. Set `device` to auto, cpu, cuda, cuda:0 or mps."
        ) from error
    return device


def _may_accelerate() -> bool:
    """Return whether PyTorch may find a GPU; asking it takes an import of seconds.

    On Linux none is found where neither NVIDIA's driver can be loaded nor AMD's kernel driver is present.
    """
    if sys.platform != "linux" or Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def resolve_precision(precision: str, device: str) -> Precision:
    """Return ``"bf16"`` or ``"fp32"``; ``"auto"`` takes bf16 on CUDA and fp32 elsewhere.

    On a CPU the default stays fp32: bf16 would add its own rounding to the differences between kinds of CPU.

    Raises
    ------
    UsageError
        For any other word.
    """
    if precision == "auto":
        return "bf16" if device.startswith("cuda") else "fp32"
    if precision == "fp32":
        return "fp32"
    if precision == "bf16":
        return "bf16"
    raise UsageError(f"Expected a precision of auto, fp32 or bf16, got '{precision}'.")


def seed_everything(seed: int) -> None:
    """Seed PyTorch on all devices and make it choose deterministic kernels.

    Raises
    ------
    UsageError
        When PyTorch is not installed.
    """
    require_deep("A network")
    import torch

    # cuBLAS reads this at its first call; harmless elsewhere
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


def device_name(device: str) -> str:
    """Return a device with the name of its model where it has one, such as ``cuda: NVIDIA H100 80GB HBM3``.

    Examples
    --------
    >>> device_name("cpu")
    'cpu'
    """
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device}: {torch.cuda.get_device_name(device)}"


def free_memory_bytes(device: str) -> int | None:
    """Return how much memory a device has left; ``None`` where that is not known (macOS, Windows)."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    if device != "cpu":
        return None
    # the machine's, or less where the process is kept to a share of it (containers, clusters)
    known = [*_kernel_numbers("/proc/meminfo", "MemAvailable:", 1024), *_left_of_group()]
    return min(known) if known else None


def _left_of_group() -> list[int]:
    """Return what the control group may still take, where it is kept to so much."""
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):
        # what files have in memory can be had back
        most = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
        return [most - used + sum(_kernel_numbers(str(group / "memory.stat"), "inactive_file", 1))]
    return []


def _kernel_numbers(path: str, name: str, unit: int) -> list[int]:
    """Return the number in the line of a kernel's file that begins with ``name``, or nothing."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(path).read_text().splitlines():
            if line.split()[:1] == [name]:
                return [int(line.split()[1]) * unit]
    return []
