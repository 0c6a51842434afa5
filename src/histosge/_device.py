"""One place that decides where tensors live and how exact they are."""

from __future__ import annotations

import os
from typing import Literal, TypeAlias

from ._errors import UsageError

__all__ = ["Precision", "resolve_device", "resolve_precision", "seed_everything"]

Precision: TypeAlias = Literal["fp32", "bf16"]


def resolve_device(device: str = "auto") -> str:
    """Return ``"cuda"``, ``"mps"`` or ``"cpu"`` for ``"auto"``, or ``device`` itself once it is known to exist.

    Raises
    ------
    UsageError
        When the device asked for is not there.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"Expected a device this machine has, got '{device}'. Use --device auto, cpu, cuda, cuda:0 or mps."
        ) from error
    return device


def resolve_precision(precision: str, device: str) -> Precision:
    """Return ``"bf16"`` or ``"fp32"``; ``"auto"`` takes bf16 on CUDA and fp32 elsewhere.

    On a CPU the default stays fp32, so that results are the same bits on every machine.

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
    """Seed PyTorch on all devices and make it choose deterministic kernels."""
    import torch

    # cuBLAS reads this at its first call; harmless elsewhere
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
