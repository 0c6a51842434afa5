"""Networks that PyTorch translates before they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from histosge.errors import UsageError

from .base import Encoder
from .dense_network import DenseNetworkEncoder
from .network import NetworkEncoder
from .weights import Module, Tensor

__all__ = ["compiled"]


def compiled(encoder: Encoder) -> Encoder:
    """Return an encoder whose network is compiled at its first batch, which takes minutes on a CPU.

    The vectors change in their last digits, as sums are taken in another order; the fingerprint says so.

    Parameters
    ----------
    encoder
        One with weights.

    Raises
    ------
    UsageError
        For an encoder that is no network built here.
    """
    if isinstance(encoder, NetworkEncoder):
        return replace(encoder, readout=_compiled(encoder.readout), compiled=True)
    if isinstance(encoder, DenseNetworkEncoder):
        return replace(encoder, maps=_compiled(encoder.maps), compiled=True)
    raise UsageError(
        f"`compiled` is for networks that are built here, and '{encoder.card.name}' is none. Leave it out."
    )


def _compiled(function: Callable[[Module, Tensor], Tensor]) -> Callable[[Module, Tensor], Tensor]:
    """Return a compiled function of network and pixels, which names the cure where there is no compiler."""
    import torch

    run: Any = torch.compile(function)

    def explained(network: Module, pixels: Tensor) -> Tensor:
        try:
            result: Tensor = run(network, pixels)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"PyTorch cannot compile this network here ({reason}). Leave `compiled` out, or install a C++ compiler."
            ) from error
        return result

    return explained
