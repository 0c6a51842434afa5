"""Plans as TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from histosge.errors import UsageError
from histosge.workflow.recipe import Recipe

from .plan import Plan, SectionSpec

__all__ = ["parse_plan", "parse_recipe", "read_plan"]

_HVG_SCOPES = ("training", "all")
_TYPE_NAMES = {str: "words in quotes", int: "whole numbers", bool: "true or false"}
# types of the entries of lists, and of single values
_LISTS: Mapping[str, type[Any]] = {"splits": str, "seeds": int, "encoders": str}
_SINGLE: Mapping[str, type[Any]] = {
    "genes": str,
    "description": str,
    "hvg_scope": str,
    "baselines": bool,
    "auxiliary": bool,
    "depth_adjusted": bool,
}
_SECTION_TYPES: Mapping[str, type[Any] | tuple[type[Any], ...]] = {
    "image": str,
    "mpp": (int, float),
    "name": str,
    "path": str,
    "patient": str,
}


def read_plan(path: str | Path) -> Plan:
    """Read a plan from a TOML file; paths in it are relative to the file.

    Raises
    ------
    UsageError
        For a missing file, one that is not TOML, and unknown keys or values.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"Expected a plan at '{path}', found none.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"Expected TOML in '{path}': {error}.") from error
    return parse_plan(content, path.parent)


def parse_plan(content: Mapping[str, Any], base: Path) -> Plan:
    """Return the plan that a mapping of plain values describes; paths in it are relative to ``base``.

    Raises
    ------
    UsageError
        For unknown keys or values.
    """
    names = {item.name for item in fields(Plan)}
    if unknown := set(content) - names:
        raise UsageError(f"A plan has no '{min(unknown)}'. It has {', '.join(sorted(names))}.")
    values: dict[str, Any] = dict(content)
    values["sections"] = tuple(_section(item, base) for item in _list(content, "sections"))
    values["models"] = tuple(map(parse_recipe, _list(content, "models")))
    for name in [key for key in _LISTS if key in content]:
        values[name] = tuple(_checked(item, _LISTS[name], name) for item in _list(content, name))
    values["programs"] = tuple(base / _checked(item, str, "programs") for item in _list(content, "programs"))
    for name in [key for key in _SINGLE if key in content]:
        _checked(content[name], _SINGLE[name], name)
    if not _is_width(content.get("patch_um", 1.0)):
        raise UsageError(
            "`patch_um` in a plan is a number, or a table of encoders and numbers; "
            f"got {content['patch_um']!r}."
        )
    if (scope := content.get("hvg_scope", "all")) not in _HVG_SCOPES:
        raise UsageError(f"`hvg_scope` is 'training' or 'all', got '{scope}'.")
    return Plan(**values)


def parse_recipe(item: Any) -> Recipe:
    """Read ``name:preset``, or a table of ``model`` and the model's options.

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> parse_recipe({"model": "histosge:published", "epochs": 20}).variant
    'published, epochs=20'
    """
    if isinstance(item, str):
        return Recipe.parse(item)
    if not isinstance(item, Mapping) or "model" not in item:
        raise UsageError(f"A model in a plan is 'name:preset', or a table with `model`; got {item!r}.")
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in item.items()}
    adjusted = _checked(options.pop("depth_adjusted", False), bool, "depth_adjusted")
    return Recipe.parse(str(options.pop("model")), options, depth_adjusted=adjusted)


def _list(content: Mapping[str, Any], name: str) -> list[Any]:
    items = content.get(name, [])
    if not isinstance(items, list):
        raise UsageError(f"`{name}` in a plan is a list, got {items!r}.")
    return items


def _checked(item: Any, kind: type[Any], name: str) -> Any:
    # `type` and not `isinstance`: true is an int for Python
    if type(item) is not kind:
        raise UsageError(f"`{name}` in a plan takes {_TYPE_NAMES[kind]}, got {item!r}.")
    return item


def _is_width(value: Any) -> bool:
    numbers = value.values() if isinstance(value, Mapping) else (value,)
    # `type` and not `isinstance`: true is an int for Python
    return all(type(number) in (int, float) for number in numbers)


def _section(item: Any, base: Path) -> SectionSpec:
    """Read a path, or a table with a path and what reading needs."""
    values = {"path": item} if isinstance(item, str) else item
    if not isinstance(values, Mapping) or "path" not in values or not _has_section_types(values):
        raise UsageError(
            f"A section in a plan is a path, or a table of {', '.join(_SECTION_TYPES)}; got {item!r}."
        )
    paths = {name: base / values[name] for name in ("path", "image") if name in values}
    further: dict[str, Any] = {name: value for name, value in values.items() if name not in paths}
    return SectionSpec(paths["path"], image=paths.get("image"), **further)


def _has_section_types(values: Mapping[str, Any]) -> bool:
    return set(values) <= set(_SECTION_TYPES) and all(
        isinstance(value, _SECTION_TYPES[name]) for name, value in values.items()
    )
