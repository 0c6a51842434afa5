"""The tiles decoded last, up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from histosge._runtime.types import Array

__all__ = ["TileCache"]


class TileCache:
    """Least recently used tiles are dropped once ``capacity_bytes`` are exceeded. Safe between threads."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._size = 0
        self._tiles: OrderedDict[Hashable, Array] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, decode: Callable[[], Array]) -> Array:
        """Return the tile ``key``, decoding it where it is not cached."""
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
            tile = decode()
            self._tiles[key] = tile
            self._size += tile.nbytes
            while self._size > self._capacity and len(self._tiles) > 1:
                self._size -= self._tiles.popitem(last=False)[1].nbytes
            return tile

    def clear(self) -> None:
        """Drop all tiles."""
        with self._lock:
            self._tiles.clear()
            self._size = 0
