"""Registries: the modules of a folder and the plug-ins of other packages, by name."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from histosge.errors import UsageError

from .messages import Message, emit
from .names import near_misses

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A read-only mapping from name to entry, filled at first use.

    An entry is declared in the tuple ``ENTRIES`` of a module in one of ``packages``. A new file in the folder is a new
    entry; no list has to be edited. Another package declares an entry point in ``group``, whose object is an entry or a
    tuple of entries. A plug-in that cannot be loaded is left out with one warning, and named when it is asked for.

    Parameters
    ----------
    kind
        What the entries are, in the singular: ``"encoder"``.
    card_type
        Type of ``entry.card``, or of the entry itself where it has no card. It has a ``name``, which is the key.
    packages
        Names of the packages whose modules are scanned, first to last.
    group
        Entry-point group; by default ``histosge.encoders`` for the kind ``encoder``.
    order
        Sort key of the entries, for where order has a meaning. By default they keep the order of packages and modules.

    Examples
    --------
    >>> from histosge.metrics.base import MetricCard
    >>> metrics = Registry("metric", MetricCard, ["histosge.metrics"])
    >>> metrics["spearman"].card.better
    'higher'
    """

    def __init__(
        self,
        kind: str,
        card_type: type[Any],
        packages: Iterable[str],
        *,
        group: str | None = None,
        order: Callable[[T], Any] | None = None,
    ) -> None:
        self._kind = kind
        self._card_type = card_type
        self._packages = tuple(packages)
        self._group = group or f"histosge.{kind}s"
        self._order = order
        self._entries: dict[str, T] | None = None
        self._broken: dict[str, str] = {}
        self._of_others: set[str] = set()

    def _load(self) -> dict[str, T]:
        if self._entries is None:
            entries: dict[str, T] = {}
            for entry in _declared(self._packages):
                entries[self._name(entry)] = entry
            for point in entry_points(group=self._group):
                self._add(point, entries)
            order = self._order
            if order is not None:
                entries = dict(sorted(entries.items(), key=lambda item: order(item[1])))
            self._entries = entries
            emit(Message("warning", sentence) for sentence in self._broken.values())
        return self._entries

    def _add(self, point: EntryPoint, entries: dict[str, T]) -> None:
        """Add the entries of a plug-in, or the reason why it has none."""
        try:
            loaded = point.load()
            for entry in loaded if isinstance(loaded, tuple) else (loaded,):
                name = self._name(entry)
                if name in entries:
                    raise ValueError(f"the name '{name}' is taken")
                entries[name] = entry
                self._of_others.add(name)
        # whatever the code of another package raises while it is imported
        except Exception as error:
            package = point.dist.name if point.dist else point.value
            self._broken[point.name] = (
                f"The {self._kind} plug-in '{point.name}' of '{package}' cannot be loaded "
                f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}). "
                "Update or uninstall that package."
            )

    def is_plug_in(self, name: str) -> bool:
        """Return whether an entry comes from another package."""
        self._load()
        return name in self._of_others

    def _name(self, entry: Any) -> str:
        card = getattr(entry, "card", entry)
        if not isinstance(card, self._card_type):
            raise TypeError(f"expected a {self._card_type.__name__}, got {type(card).__name__}")
        return str(card.name)

    def __getitem__(self, name: str) -> T:
        entries = self._load()
        if name in entries:
            return entries[name]
        if name in self._broken:
            raise UsageError(self._broken[name])
        hint = near_misses(name, tuple(entries)) or f" Known: {', '.join(sorted(entries))}."
        raise UsageError(f"There is no {self._kind} named '{name}'.{hint}")

    def __contains__(self, name: object) -> bool:
        return name in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


def _declared(packages: Iterable[str]) -> Iterator[Any]:
    """Yield the entries that the modules of packages declare; folders inside a package are not scanned."""
    for package in packages:
        modules = pkgutil.iter_modules(import_module(package).__path__)
        for name in sorted(module.name for module in modules if not module.ispkg):
            yield from getattr(import_module(f"{package}.{name}"), "ENTRIES", ())
