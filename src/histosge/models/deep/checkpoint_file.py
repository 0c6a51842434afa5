"""The file from which an interrupted training goes on."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.hashing import fingerprint
from histosge.errors import DataError

__all__ = ["read_checkpoint", "write_checkpoint"]

_STATE = "state.pt"
# of the checksum in front of a checkpoint
_CHECKSUM_BYTES = 32


def write_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values; the file appears whole or not at all.

    Raises
    ------
    OutputError
        When the disk is full.
    """
    import torch

    # torch.save to a file raises no OSError when the disk is full; atomic_path's own writing does
    packed = io.BytesIO()
    torch.save(dict(content), packed)
    # a flipped bit in the weights would be another fit, and no error
    whole = packed.getvalue()
    with atomic_path(folder / _STATE) as draft:
        draft.write_bytes(fingerprint(whole).encode() + whole)


def read_checkpoint(folder: Path | None, device: str, resume: Callable[[Mapping[str, Any]], None]) -> None:
    """Hand ``resume`` what was written into ``folder``, if there is anything.

    Raises
    ------
    DataError
        When the file is damaged, or what it holds does not suit.
    """
    import torch

    path = None if folder is None else folder / _STATE
    if path is None or not path.exists():
        return
    try:
        whole = path.read_bytes()
        checksum, packed = whole[:_CHECKSUM_BYTES], whole[_CHECKSUM_BYTES:]
        if fingerprint(packed).encode() != checksum:
            raise ValueError("its checksum is that of another content")
        # weights_only: a checkpoint from elsewhere cannot run code
        resume(torch.load(io.BytesIO(packed), map_location=device, weights_only=True))
    except (RuntimeError, KeyError, ValueError, TypeError, OSError, EOFError) as error:
        raise DataError(f"The checkpoint '{path}' is damaged ({error}). Delete it to start again.") from error
