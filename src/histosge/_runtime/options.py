"""A user's words for a model's options, validated_options against what the model has."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from histosge.errors import UsageError

__all__ = ["preset_options", "validated_options"]

_TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    type(None): "none",
}


def preset_options(kind: type[Any], preset: str | None) -> Mapping[str, Any]:
    """Return the options of a preset; none where ``preset`` is ``None``.

    Parameters
    ----------
    kind
        Class of a configuration: a frozen dataclass with ``card`` and, perhaps, ``presets``.
    preset
        Name of the preset.

    Raises
    ------
    UsageError
        When there is no such preset.
    """
    presets: Mapping[str, Mapping[str, Any]] = getattr(kind, "presets", {})
    if preset is None:
        return {}
    if preset not in presets:
        has = f"It has {', '.join(presets)}." if presets else "It has none; leave `preset` out."
        raise UsageError(f"'{kind.card.name}' has no preset '{preset}'. {has}")
    return presets[preset]


def validated_options(kind: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in the types of the fields: a whole number becomes a float, a list becomes a tuple.

    Parameters
    ----------
    kind
        Class of a configuration: a frozen dataclass with ``card``.
    options
        Values by name of the field.

    Raises
    ------
    UsageError
        For an unknown option, or a value that is not of the option's type.
    """
    hints = get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind)]
    values = {}
    for name, value in options.items():
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=2)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"It has {', '.join(fields) or 'none'}."
            raise UsageError(f"'{kind.card.name}' has no option '{name}'. {hint}")
        allowed = _choices(hints[name])
        values[name] = _converted(value, allowed, f"Option '{name}' of '{kind.card.name}'")
    return values


def _choices(hint: Any) -> list[Any]:
    """Return the types and single values that a field takes."""
    if get_origin(hint) in (Union, types.UnionType):
        return [choice for part in get_args(hint) for choice in _choices(part)]
    return list(get_args(hint)) if get_origin(hint) is Literal else [hint]


def _converted(value: Any, allowed: list[Any], what: str) -> Any:
    """Return a value in the first type that takes it."""
    for choice in allowed:
        if get_origin(choice) is tuple:
            if isinstance(value, (tuple, list)):
                return tuple(_converted(item, [get_args(choice)[0]], what) for item in value)
        elif not isinstance(choice, type):
            if type(value) is type(choice) and value == choice:
                return value
        elif choice is float and type(value) in (int, float):
            return float(value)
        elif type(value) is choice:
            return value
    raise UsageError(f"{what} takes {' or '.join(map(_description, allowed))}, got {value!r}.")


def _description(choice: Any) -> str:
    """Describe a type, or a single value."""
    if get_origin(choice) is tuple:
        return "a list"
    return _TYPE_NAMES.get(choice, str(choice)) if isinstance(choice, type) else f"'{choice}'"
