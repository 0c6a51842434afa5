"""Names to things, open to third parties, helpful with typing errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from histosge.errors import UsageError

from .names import near_misses

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping from name to ``T`` which other packages extend through entry points.

    Parameters
    ----------
    kind
        What the entries are, in the singular: ``"encoder"``. A package adds its own under the entry-point
        group ``histosge.encoders`` and so on; the entry point's object is the entry itself.
    load
        Called once, at first use, to make the built-in entries. Keeping it lazy keeps ``import histosge`` fast.
    group
        Another entry-point group than the one named after ``kind``.
    """

    def __init__(self, kind: str, load: Callable[[], Mapping[str, T]], *, group: str | None = None) -> None:
        self._kind = kind
        self._group = group or f"histosge.{kind}s"
        self._load = load
        self._entries: dict[str, T] | None = None

    def _all(self) -> dict[str, T]:
        if self._entries is None:
            entries = dict(self._load())
            for point in entry_points(group=self._group):
                entries.setdefault(point.name, point.load())
            self._entries = entries
        return self._entries

    def __getitem__(self, name: str) -> T:
        entries = self._all()
        if name in entries:
            return entries[name]
        hint = near_misses(name, tuple(entries)) or f" Known: {', '.join(sorted(entries))}."
        raise UsageError(f"There is no {self._kind} named '{name}'.{hint}")

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())
