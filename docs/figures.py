"""Run documented commands again, and compare the figures beside them.

    python docs/figures.py --list                 every command: whether its figures are compared, or why not
    python docs/figures.py --short                run the quick ones, some minutes in all
    python docs/figures.py docs/results/rivals.md run those of a page, however long they take

A table is compared where a comment stands above it; several comments stand above one table of several commands:

    <!-- figures: short
    command: histosge evaluate her2st/C2 --models cokriging,tesla --seeds 1
    rows: systems
    columns: test = pcc; given depth = pcc_given_depth; skill = skill
    tolerance: 0.002
    -->

`rows` says what the first cell of a row is, and what stands right of `=`:

systems     a system as tables name it; a score of ``scores.json``, or several as in a cell ``0.19 / 0.12``; with
            ``@ C2`` that of one section of several
sections    a section, which stands for SECTION in the command; a system and a score, such as `kriging pcc`
finer       a system; a scale, a part and a score of ``fine_truth.json``, such as `50 µm inside pcc`
values      a section, which stands for SECTION; a value of the JSON that the command prints, or of a file that it
            writes: `run.json:total_counts.r`
printed     the cell of a printed table with the same words; a heading of that table. `cells: 2`: two cells name a row
printed sections   the same; the first cell stands for SECTION in the command
summary     a system; a heading of the first table that `histosge benchmark --summary` writes of the benchmark

`#3` is the third column, where headings are not unique. `only` names the rows that are compared, and run. Columns
that are not named are not compared. `tolerance` is the largest difference allowed; figures depend on the kind of CPU
and on versions of libraries in their last digits, those of networks in more. A command that is not compared has the
reason above its block:

    <!-- not compared: too long (an hour) -->

Commands are run as they stand, from the root of the repository (docs/documented_commands.py says which they are). Two
things are changed: where `$HISTOSGE_REAL_DATA` is set, it stands for `../shared/data`, but in plans; and a command that
writes gets an `--out` of its own, which is deleted after it. Where there are no real sections, tables of synthetic
ones are compared, and the others counted; a run that compares nothing fails.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from documented_commands import DATA, ROOT, commands, pages, placed

_MARK = re.compile(r"<!-- figures:(?P<short> short)?\n(?P<fields>.*?)-->\n+", flags=re.DOTALL)
_COMMENTS = re.compile(r"\A(?:<!--.*?-->\s*)+", flags=re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?(?: ?%)?")
_NEEDED, _FURTHER = {"command", "rows", "columns", "tolerance"}, {"only", "cells"}
_KINDS = ("systems", "sections", "finer", "values", "printed", "printed sections", "summary")

Rows = Sequence[Mapping[str, Any]]


def numbers(text: str) -> list[float]:
    """Return the numbers in a cell, shares for percentages.

    >>> numbers("**.167** / −3 %")
    [0.167, -0.03]
    """
    parts = _NUMBER.findall(text.replace("*", "").replace("−", "-"))
    return [float(part.rstrip(" %")) / (100 if "%" in part else 1) for part in parts]


def tables_of(text: str) -> list[list[list[str]]]:
    """Return the Markdown tables of a text: rows of cells, the headings first."""
    blocks = re.findall(r"(?:^\|[^\n]*(?:\n|\Z))+", text, flags=re.MULTILINE)
    return [
        [[cell.strip().replace("*", "") for cell in line.strip().strip("|").split("|")] for line in lines]
        for lines in ([*block.splitlines()[:1], *block.splitlines()[2:]] for block in blocks)
    ]


@dataclass(frozen=True)
class Output:
    """What a command printed, and the small files that it wrote."""

    printed: str
    files: Mapping[str, str]

    def rows(self, name: str) -> Rows:
        """Return the rows of ``scores.json`` or ``fine_truth.json``."""
        rows: Rows = json.loads(self.files[name])["rows"]
        return rows

    def value(self, name: str, path: str) -> Any:
        """Return a value of a JSON file by its path of keys; without a name that of the printed JSON."""
        value = json.loads(self.files[name] if name else self.printed)
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def cell(self, labels: Sequence[str], heading: str) -> str | None:
        """Return a cell of a printed table by the first cells of its row; sections have their last name there too."""
        names = [{label, label.rsplit("/", 1)[-1]} for label in labels]
        for head, *rows in tables_of(self.printed):
            for row in rows:
                is_row = all(
                    {cell, cell.rsplit("/", 1)[-1]} & own for cell, own in zip(row, names, strict=False)
                )
                if is_row and (heading in head or heading.startswith("#")):
                    return row[position(head, heading)]
        return None


def position(head: Sequence[str], heading: str) -> int:
    """Return the column of a heading, or of ``#3``."""
    return int(heading[1:]) - 1 if heading.startswith("#") else list(head).index(heading)


@dataclass(frozen=True)
class Figures:
    """A table, the command that made it, and which of its columns are which scores."""

    page: Path
    command: str
    is_short: bool
    rows: str
    columns: Mapping[str, str]
    tolerance: float
    only: tuple[str, ...] = ()
    name_cells: int = 1
    table: Sequence[Sequence[str]] = field(default=(), repr=False)

    @classmethod
    def read(cls, page: Path) -> list[Figures]:
        """Return the tables of a page that are compared."""
        text = page.read_text(encoding="utf-8")
        return [cls._of(page, match, text) for match in _MARK.finditer(text)]

    @classmethod
    def _of(cls, page: Path, match: re.Match[str], text: str) -> Figures:
        fields = dict(re.findall(r"^(\w+): (.*)$", match["fields"], flags=re.MULTILINE))
        below = _COMMENTS.sub("", text[match.end() :])
        is_known = _NEEDED <= set(fields) <= _NEEDED | _FURTHER and fields["rows"] in _KINDS
        if not is_known or not below.startswith("|"):
            raise SystemExit(
                f"{page}: a comment 'figures' has {', '.join(sorted(_NEEDED))} and stands above a table; got {fields}."
            )
        pairs = [part.split(" = ") for part in fields["columns"].split("; ")]
        return cls(
            page,
            fields["command"],
            bool(match["short"]),
            rows=fields["rows"],
            columns={heading.strip(): score.strip() for heading, score in pairs},
            tolerance=float(fields["tolerance"]),
            only=tuple(fields["only"].split("; ")) if "only" in fields else (),
            name_cells=int(fields.get("cells", 1)),
            table=tables_of(below)[0],
        )

    def cells(self) -> Iterator[tuple[str, str, list[float]]]:
        """Yield row, column and numbers of each cell that is compared."""
        head, *rows = self.table
        for heading in self.columns:
            if not heading.startswith("#") and heading not in head:
                raise SystemExit(f"{self.page}: the table below the comment has no column '{heading}'.")
            for row in rows:
                name = ", ".join(row[: self.name_cells])
                documented = numbers(row[position(head, heading)])
                if documented and (not self.only or name in self.only):
                    yield name, heading, documented

    def faults(self) -> list[str]:
        """Run the command, and return a sentence for each figure that is another one now."""
        faults = []
        for row, heading, documented in self.cells():
            address = self.columns[heading]
            now = self._measured(row, address)
            # of printed cells all numbers, of scores as many as are named
            compared = documented if self._is_printed else documented[: address.count(" / ") + 1]
            pairs = zip(compared, now, strict=False)
            # a figure is rounded to its digits
            if len(now) < len(compared) or any(not abs(old - new) <= self.tolerance for old, new in pairs):
                shown = " / ".join(f"{value:.4f}" for value in now) or "absent"
                faults.append(
                    f"{row}, {heading}: {' / '.join(f'{value:g}' for value in documented)} stands in {self.page.name}, "
                    f"and is {shown} now (tolerance {self.tolerance:g})"
                )
        return faults

    @property
    def reads_real_sections(self) -> bool:
        """Whether the command, or its plan, names a real section."""
        plans = [ROOT / word for word in self.command.split() if word.endswith(".toml")]
        return any("shared/data" in text for text in (self.command, *(plan.read_text() for plan in plans)))

    @property
    def _is_printed(self) -> bool:
        return self.rows in ("printed", "printed sections", "summary")

    def _measured(self, row: str, address: str) -> list[float]:
        """Return the numbers that the command gives for a cell; none where it gives none."""
        if self.rows == "summary":
            output = run(self.command, summary=True)
        else:
            output = run(self.command.replace("SECTION", row.split(", ")[0]))
        if self._is_printed:
            cell = output.cell(row.split(", ") if self.name_cells > 1 else [row], address)
            return numbers(cell) if cell else []
        if self.rows == "values":
            name, _, paths = address.rpartition(":")
            values = [output.value(name, path) for path in paths.split(" / ")]
        else:
            values = self._scores(output, row, address)
        return [float(value) for value in values if value is not None]

    def _scores(self, output: Output, row: str, address: str) -> list[Any]:
        address, _, section = address.partition(" @ ")
        first, *further = address.split(" / ")
        if self.rows == "finer":
            scale, zone, first = first.rsplit(" ", 2)
            rows = [
                part
                for part in output.rows("fine_truth.json")
                if (part["scale"], part["zone"]) == (scale, zone)
            ]
        else:
            rows = [part for part in output.rows("scores.json") if part["set"] == "test"]
            rows = [part for part in rows if not section or part["section"] == section]
        system, first = first.rsplit(" ", 1) if self.rows == "sections" else (row, first)
        mine = [part for part in rows if name_of(part) == system]
        return [mine[0].get(score) for score in (first, *further)] if mine else []


def name_of(row: Mapping[str, object]) -> str:
    """Return a system's name as tables have it."""
    return f"{row['model']} ({row['preset']})" if row["preset"] else str(row["model"])


@functools.cache
def run(command: str, *, summary: bool = False) -> Output:
    """Run a documented command as it stands, from the root; several tables of one command run it once."""
    with tempfile.TemporaryDirectory() as folder:
        out = f" --out '{folder}'" if command.startswith("histosge ") or " --out " in command else ""
        words = placed(command) + out
        if summary:
            words += f" && histosge benchmark --summary '{folder}'"
        programs = f'python() {{ \'{sys.executable}\' -W ignore "$@"; }}; histosge() {{ python -m histosge "$@"; }}; '
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "HISTOSGE_REAL_DATA": str(DATA)}
        done = subprocess.run(
            ["bash", "-c", programs + words], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{command}\n{done.stderr}")
        return Output(done.stdout, {path.name: path.read_text() for path in Path(folder).glob("*.json")})


def listed(page: Path) -> list[str]:
    """Return a line for each command of a page."""
    tables: dict[str, list[Figures]] = {}
    for table in Figures.read(page):
        tables.setdefault(table.command, []).append(table)
    lines = []
    for command, reason in ((own.line, own.reason) for own in commands(page)):
        if command in tables:
            is_short = [table.is_short for table in tables[command]]
            state = f"compared, {'short' if all(is_short) else 'short in part' if any(is_short) else 'long'}"
        else:
            state = f"not compared, {reason or 'and no reason is given'}"
        lines.append(f"{page.name}: {state}: {command}")
    return lines


def main() -> int:
    """List commands, or run them again; return 1 where a figure is another one now."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*", type=Path, help="by default all pages")
    parser.add_argument("--short", action="store_true", help="only the quick ones")
    parser.add_argument("--list", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    chosen = [page.resolve() for page in arguments.pages] or pages()
    if arguments.list:
        print("\n".join(line for page in chosen for line in listed(page)))
        return 0
    tables = [table for page in chosen for table in Figures.read(page)]
    return compare([table for table in tables if table.is_short or not arguments.short])


def compare(tables: Sequence[Figures]) -> int:
    """Print how many figures of each table are the same; return 1 where one is not, and where none was compared."""
    faults, compared, without = [], 0, 0
    for table in tables:
        if table.reads_real_sections and not DATA.is_dir():
            without += 1
            continue
        own, number = table.faults(), len(list(table.cells()))
        print(
            f"{table.page.name}: {table.command}: {number - len(own)} of {number} figures are the same",
            flush=True,
        )
        print("".join(f"  {fault}\n" for fault in own), end="", flush=True)
        faults += own
        compared += number
    if without:
        print(f"{without} tables are of real sections, which are not at {DATA}: not compared")
    print(f"{compared} figures were compared")
    return 1 if faults or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
