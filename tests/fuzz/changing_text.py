"""Structured changes of text: tables, JSON, TOML, Matrix Market and lists of names."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from changing_bytes import Numbers, Operation

__all__ = ["JSON", "LINES", "NUMBERS", "TABLE", "WORDS"]

#: values of numbers that readers meet
NUMBERS = (
    0,
    -1,
    1,
    0.5,
    float("nan"),
    float("inf"),
    float("-inf"),
    1e308,
    -1e308,
    1e-320,
    255,
    65536,
)
NUMBERS += (2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 10**30)
#: values of text that readers meet
WORDS = (
    "",
    "nan",
    "NA",
    "x",
    "0",
    "-1",
    "1e999",
    "1e308",
    "99999999999999999999",
    "=1+1",
    "ä",
    "‮",
    "a" * 5000,
)
WORDS += (
    "1,5",
    "None",
    "true",
    "0x10",
    "1_0",
    " ",
    '"',
    "'",
    "[1]",
    "\0",
    "-0",
    "1e-400",
    "../x",
)


def _text(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8", "surrogateescape")


def _write(path: Path, content: str | bytes) -> None:
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)


# --- tables ---------------------------------------------------------------------------------------------------


def _separator(path: Path) -> str:
    return "," if ".csv" in path.name else "\t"


def _on_rows(
    change: Callable[[list[list[str]], Numbers], list[list[str]]],
) -> Operation:
    def apply(path: Path, numbers: Numbers) -> None:
        separator = _separator(path)
        rows = [line.split(separator) for line in _text(path).split("\n") if line]
        _write(path, "".join(separator.join(row) + "\n" for row in change(rows, numbers)))

    return apply


def _shuffled(size: int, numbers: Numbers) -> list[int]:
    return np.random.default_rng(numbers.next()).permutation(size).tolist()


def _width(rows: list[list[str]]) -> int:
    return max(map(len, rows), default=0)


def _drop_column(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    column = numbers.below(_width(rows))
    return [row[:column] + row[column + 1 :] for row in rows]


def _add_column(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    at, name, value = (
        numbers.below(_width(rows) + 1),
        numbers.pick(WORDS),
        numbers.pick(WORDS),
    )
    return [[*row[:at], value if index else name, *row[at:]] for index, row in enumerate(rows)]


def _exchange_columns(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    """Exchange the values of two columns, and leave their names."""
    one, two = numbers.below(_width(rows)), numbers.below(_width(rows))
    for row in rows[1:]:
        if max(one, two) < len(row):
            row[one], row[two] = row[two], row[one]
    return rows


def _permute_columns(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    order = _shuffled(_width(rows), numbers)
    return [[row[column] for column in order if column < len(row)] for row in rows]


def _permute_rows(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    return rows[:1] + [rows[1:][row] for row in _shuffled(len(rows) - 1, numbers)]


def _repeat_row(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    row = numbers.below(len(rows))
    return rows[:row] + rows[row : row + 1] * (2 + numbers.below(2)) + rows[row + 1 :]


def _drop_rows(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    first = numbers.below(len(rows))
    return rows[:first] + rows[first + 1 + numbers.below(len(rows)) :]


def _drop_row(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    row = numbers.below(len(rows))
    return rows[:row] + rows[row + 1 :]


def _set_cell(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    row = numbers.below(len(rows))
    if rows and rows[row]:
        rows[row][numbers.below(len(rows[row]))] = numbers.pick(WORDS)
    return rows


def _set_column(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    column, value = numbers.below(_width(rows)), numbers.pick(WORDS)
    for row in rows[1:]:
        if column < len(row):
            row[column] = value
    return rows


def _repeat_id(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    one, two = numbers.below(len(rows)), numbers.below(len(rows))
    if rows and rows[one] and rows[two]:
        rows[one][0] = rows[two][0]
    return rows


def _quote(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    return [[f'"{value}"' for value in row] for row in rows]


def _number_rows(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    return [[str(index) if index else "", *row] for index, row in enumerate(rows)]


def _transpose(rows: list[list[str]], numbers: Numbers) -> list[list[str]]:
    return [list(column) for column in zip(*rows, strict=False)]


# --- lines ----------------------------------------------------------------------------------------------------


def _on_lines(change: Callable[[list[str], Numbers], list[str]]) -> Operation:
    def apply(path: Path, numbers: Numbers) -> None:
        _write(path, "\n".join(change(_text(path).split("\n"), numbers)))

    return apply


def _drop_line(lines: list[str], numbers: Numbers) -> list[str]:
    line = numbers.below(len(lines))
    return lines[:line] + lines[line + 1 :]


def _repeat_line(lines: list[str], numbers: Numbers) -> list[str]:
    line = numbers.below(len(lines))
    return lines[: line + 1] + lines[line:]


def _swap_lines(lines: list[str], numbers: Numbers) -> list[str]:
    one, two = numbers.below(len(lines)), numbers.below(len(lines))
    lines[one], lines[two] = lines[two], lines[one]
    return lines


def _set_word(lines: list[str], numbers: Numbers) -> list[str]:
    """Replace one word or number by another value."""
    line = numbers.below(len(lines))
    found = list(re.finditer(r"[\w.+-]+", lines[line]))
    if found:
        word = numbers.pick(found)
        lines[line] = lines[line][: word.start()] + numbers.pick(WORDS) + lines[line][word.end() :]
    return lines


def _encoded(path: Path, numbers: Numbers) -> None:
    text = _text(path)
    how = numbers.pick(("utf-16", "utf-8-sig", "crlf", "latin-1", "cr"))
    if how in ("crlf", "cr"):
        _write(path, text.replace("\n", "\r\n" if how == "crlf" else "\r"))
    else:
        _write(
            path,
            f"{text}ä".encode(how, "replace") if how == "latin-1" else text.encode(how, "replace"),
        )


LINES: dict[str, Operation] = {
    "drop a line": _on_lines(_drop_line),
    "repeat a line": _on_lines(_repeat_line),
    "swap two lines": _on_lines(_swap_lines),
    "replace a word": _on_lines(_set_word),
    "encode otherwise": _encoded,
}
TABLE: dict[str, Operation] = {
    "drop a column": _on_rows(_drop_column),
    "add a column": _on_rows(_add_column),
    "exchange two columns": _on_rows(_exchange_columns),
    "permute columns": _on_rows(_permute_columns),
    "permute rows": _on_rows(_permute_rows),
    "repeat a row": _on_rows(_repeat_row),
    "drop a row": _on_rows(_drop_row),
    "drop rows": _on_rows(_drop_rows),
    "no rows": _on_rows(lambda rows, numbers: rows[:1]),
    "no header": _on_rows(lambda rows, numbers: rows[1:]),
    "set a cell": _on_rows(_set_cell),
    "set a column": _on_rows(_set_column),
    "repeat an id": _on_rows(_repeat_id),
    "quote": _on_rows(_quote),
    "number the rows": _on_rows(_number_rows),
    "transpose": _on_rows(_transpose),
    "encode otherwise": _encoded,
}


# --- JSON -----------------------------------------------------------------------------------------------------


def _parents(value: Any) -> list[tuple[Any, Any]]:
    """Return each container with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, key) for key in keys]
    for key in keys:
        found += _parents(value[key])
    return found


def _on_json(change: Callable[[Any, list[tuple[Any, Any]], Numbers], Any]) -> Operation:
    def apply(path: Path, numbers: Numbers) -> None:
        content = json.loads(_text(path))
        parents = _parents(content)
        _write(
            path,
            json.dumps(change(content, parents, numbers) if parents else numbers.pick(NUMBERS)),
        )

    return apply


def _delete_key(content: Any, parents: list[tuple[Any, Any]], numbers: Numbers) -> Any:
    parent, key = numbers.pick(parents)
    del parent[key]
    return content


def _set_value(content: Any, parents: list[tuple[Any, Any]], numbers: Numbers) -> Any:
    parent, key = numbers.pick(parents)
    plain = (
        *NUMBERS,
        *WORDS,
        None,
        True,
        False,
        [],
        {},
        [[]],
        [1, "a"],
        {"a": None},
        -5,
        1e4,
    )
    parent[key] = numbers.pick(plain)
    return content


def _nudge(content: Any, parents: list[tuple[Any, Any]], numbers: Numbers) -> Any:
    """Change a value a little and keep its type."""
    parent, key = numbers.pick(parents)
    value = parent[key]
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return content
    parent[key] = value + "x" if isinstance(value, str) else value + numbers.pick((1, -1, 2 * value, 0.25))
    return content


def _rename_key(content: Any, parents: list[tuple[Any, Any]], numbers: Numbers) -> Any:
    parent, key = numbers.pick(parents)
    if isinstance(parent, dict):
        parent[numbers.pick((f"{key}_", str(key).upper(), *WORDS))] = parent.pop(key)
    return content


def _swap_values(content: Any, parents: list[tuple[Any, Any]], numbers: Numbers) -> Any:
    (one, first), (two, second) = numbers.pick(parents), numbers.pick(parents)
    one[first], two[second] = json.loads(json.dumps([two[second], one[first]]))
    return content


def _box(content: Any, parents: list[tuple[Any, Any]], numbers: Numbers) -> Any:
    parent, key = numbers.pick(parents)
    parent[key] = numbers.pick(([parent[key]], {"value": parent[key]}, str(parent[key])))
    return content


def _repeat_item(content: Any, parents: list[tuple[Any, Any]], numbers: Numbers) -> Any:
    lists = [parent for parent, key in parents if isinstance(parent, list)]
    if lists:
        items = numbers.pick(lists)
        items.append(json.loads(json.dumps(items[numbers.below(len(items))])))
    return content


def _nest(path: Path, numbers: Numbers) -> None:
    content = json.loads(_text(path))
    deep = "[" * 3000 + "]" * 3000
    text = json.dumps(_set_value(content, _parents(content), numbers)) if _parents(content) else "0"
    _write(path, deep if numbers.below(2) else text[:-1] + f', "deep": {deep}' + text[-1:])


JSON: dict[str, Operation] = {
    "delete a key": _on_json(_delete_key),
    "set a value": _on_json(_set_value),
    "change a value a little": _on_json(_nudge),
    "rename a key": _on_json(_rename_key),
    "swap two values": _on_json(_swap_values),
    "put a value into a list": _on_json(_box),
    "repeat an item": _on_json(_repeat_item),
    "nest deeply": _nest,
    "encode otherwise": _encoded,
}
