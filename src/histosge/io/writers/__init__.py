"""Writers: one file a format.

A writer is a :class:`Writer` in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.writers`` of another package. ``run --also``, ``export --to``, ``histosge list writers`` and the
documentation read :data:`WRITERS`.
"""

from __future__ import annotations

from histosge._runtime.registry import Registry

from .base import WriteOptions, Writer

__all__ = ["WRITERS", "WriteOptions", "Writer"]

WRITERS: Registry[Writer] = Registry("writer", Writer, [__name__])
