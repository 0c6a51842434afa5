"""Spatial domains: which locations of a tissue belong together, from expression and positions.

A method is a frozen dataclass in ``ENTRIES`` of a module in this folder, or an entry point in the group
``histosge.domains`` of another package.
"""

from __future__ import annotations

from typing import Any

from histosge._runtime.device import require_deep
from histosge._runtime.options import preset_options, validated_options
from histosge._runtime.registry import Registry

from .base import Divides, Division, DomainCard, Method, Runtime
from .input import DomainInput
from .neighbours import neighbour_distance_um
from .number_of_domains import Criterion
from .run import Agreement, Domains, find_domains

__all__ = [
    "DEFAULT_METHOD",
    "DOMAINS",
    "Agreement",
    "Criterion",
    "Divides",
    "Division",
    "DomainCard",
    "DomainInput",
    "Domains",
    "Method",
    "Runtime",
    "build_method",
    "find_domains",
    "neighbour_distance_um",
]


#: what is taken where no method is named: it needs neither a number of domains nor PyTorch
DEFAULT_METHOD = "spatial_mixture"

# configurations are frozen dataclasses; the entry is the class
DOMAINS: Registry[type[Any]] = Registry("clustering method", DomainCard, [__name__], group="histosge.domains")


def build_method(name: str, preset: str | None = None, **options: Any) -> Method:
    """Return a configured method.

    Parameters
    ----------
    name
        As listed by ``histosge list domains``.
    preset
        Named set of options; ``None`` takes the method's defaults.
    options
        Single fields that differ from the preset.

    Raises
    ------
    UsageError
        For an unknown method, preset or option, or a value that an option cannot have.
    """
    kind = DOMAINS[name]
    if kind.card.deep:
        require_deep(f"The method '{name}'")
    method: Method = kind(**validated_options(kind, {**preset_options(kind, preset), **options}))
    return method
