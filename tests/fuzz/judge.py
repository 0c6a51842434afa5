"""Whether the outcome of a changed input is right.

A changed input is **refused** with exit code 2, 3 or 4, one sentence on standard error and nothing written; or its
result is **equal** to that of the unchanged one, perhaps with a **message** more; or it is **another** that the changed
file may have: of finite numbers, of the right shape, in those parts alone that the file holds, and with a message where
spots or genes are lost. Everything else is **wrong**: exit code 1 or any other, a traceback, a crash, a lack of time or
memory, several lines of error, files left behind, and any other result where the changed file is one of our own with a
checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from kinds import Kind
from seen import Seen

__all__ = ["OUTCOMES", "verdict"]

OUTCOMES = ("refused", "equal", "message", "another", "WRONG")
_CODES = (2, 3, 4)
# of a sentence with the path of a file in it
_MOST_LETTERS = 1500


def verdict(
    kind: Kind,
    whole: Seen,
    seen: Seen,
    changed: Iterable[str],
    debris: set[str],
    place: Path | None = None,
) -> tuple[str, str]:
    """Return the outcome, one of :data:`OUTCOMES`, and why it is wrong."""
    if seen.trace:
        last = [line for line in seen.trace.splitlines() if line.strip()][-1]
        return "WRONG", f"a defect: {last[:300]}"
    if seen.code:
        return _refusal(seen, debris)
    if debris:
        return "WRONG", f"left behind: {', '.join(sorted(debris)[:3])}"
    if fault := _invalid(seen):
        return "WRONG", fault
    differing = _differing(whole.parts, seen.parts)
    new = set(seen.messages) - set(whole.messages)
    if not differing:
        return ("message" if new else "equal"), ""
    allowed = {part for file in changed for part in kind.may_change(file)}
    if beyond := differing - allowed:
        return (
            "WRONG",
            f"another result in {', '.join(sorted(beyond))}, of which the changed file holds nothing",
        )
    if kind.plain is not None and place is not None and (fault := _otherwise(kind.plain, place, seen, whole)):
        return "WRONG", fault
    # positions show which spots have lost their counts; which genes a table had before, nobody knows
    if np.size(whole.parts.get("counts", ())):
        lost, added = (set(one["ids"]) - set(two["ids"]) for one, two in _both_ways(whole.parts, seen.parts))
        if len(lost) > len(added) and not new:
            return "WRONG", f"{len(lost)} spots lost without a message"
    return ("message" if new else "another"), ""


def _both_ways(one: dict[str, Any], two: dict[str, Any]) -> tuple[tuple[dict[str, Any], dict[str, Any]], ...]:
    return (one, two), (two, one)


def _otherwise(plain: Callable[[Path], dict[str, Any]], place: Path, seen: Seen, whole: Seen) -> str:
    """Return in which counts or positions a result differs from a plain reading of the same files."""
    if not (_differing(whole.parts, seen.parts) & {"counts", "xy_px", "ids", "gene_ids"}):
        return ""
    try:
        other = plain(place)
    except Exception as error:
        return f"read, although a plain reading fails: {type(error).__name__} {error}"
    # repeated names of genes are numbered
    parts = seen.parts | {"genes": seen.parts["gene_ids"]}
    differing = _differing(parts, other | {"genes": other["gene_ids"]}) & {
        "counts",
        "xy_px",
    }
    if set(other["gene_ids"]) - set(parts["gene_ids"]) and not set(seen.messages) - set(whole.messages):
        return "genes of a plain reading are lost without a message"
    return f"{', '.join(sorted(differing))} differ from a plain reading" if differing else ""


def _refusal(seen: Seen, debris: set[str]) -> tuple[str, str]:
    lines = [line for line in seen.said.strip().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    if seen.code not in _CODES:
        return "WRONG", f"exit code {seen.code}: {lines[-1][:300] if lines else ''}"
    if len(errors) != 1 or lines[-1] != errors[0]:
        return "WRONG", f"no single sentence: {' | '.join(lines)[-400:]}"
    if len(errors[0]) > _MOST_LETTERS:
        return "WRONG", f"a sentence of {len(errors[0])} letters: {errors[0][:200]}"
    if debris:
        return "WRONG", f"refused, but left behind: {', '.join(sorted(debris)[:3])}"
    return "refused", ""


def _invalid(seen: Seen) -> str:
    """Return what no result may have, whatever was read."""
    parts = seen.parts
    for name in ("counts", "xy_px", "scale", "mean", "sd", "image", "features"):
        values = parts.get(name)
        if values is not None and not np.isfinite(values).all():
            return f"{name} are not finite"
    if "counts" in parts:
        counts = parts["counts"]
        if counts.shape != (len(parts["ids"]), len(parts["genes"])):
            return "counts of another shape"
        if (counts < 0).any() or (counts != np.rint(counts)).any():
            return "counts that are no counts"
    if "scale" in parts and not (parts["scale"] > 0).all():
        return "a scale that is not positive"
    for name in ("ids", "genes"):
        if len(set(parts.get(name) or ())) != len(parts.get(name) or ()):
            return f"{name} that are not unique"
    return ""


def _differing(whole: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """Return the parts that differ; of spots and genes those that both have are compared, by name."""
    names = set(whole) | set(other)
    differing = {name for name in names if not _same(whole.get(name), other.get(name))}
    rows = _common(whole.get("ids"), other.get("ids"))
    columns = _common(whole.get("genes"), other.get("genes"))
    for name in differing & {"counts", "xy_px", "lattice_xy", "gene_ids", "mean", "sd"}:
        one, two = whole.get(name), other.get(name)
        if one is None or two is None:
            continue
        matrix = name in ("counts", "mean", "sd")
        index = columns if name == "gene_ids" else rows
        if index is None or (matrix and columns is None):
            continue
        one, two = np.asarray(one)[index[0]], np.asarray(two)[index[1]]
        if matrix and columns is not None:
            one, two = one[:, columns[0]], two[:, columns[1]]
        if _same(one, two):
            differing = differing - {name}
    return differing


def _common(one: list[str] | None, two: list[str] | None) -> tuple[list[int], list[int]] | None:
    if not one or not two:
        return None
    where = {name: index for index, name in enumerate(two)}
    both = [(index, where[name]) for index, name in enumerate(one) if name in where]
    return [first for first, _ in both], [second for _, second in both]


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(two, np.ndarray):
        one, two = np.asarray(one), np.asarray(two)
        if one.shape != two.shape or one.dtype.kind != two.dtype.kind:
            return False
        # positions follow from the pitch, whose last bits depend on which spots are left
        if one.dtype.kind == "f":
            return bool(np.allclose(one, two, rtol=1e-6, atol=1e-6, equal_nan=True))
        return bool((one == two).all())
    if isinstance(one, list) and isinstance(two, list) and one and isinstance(one[0], np.ndarray):
        return len(one) == len(two) and all(map(_same, one, two))
    return bool(one == two)
