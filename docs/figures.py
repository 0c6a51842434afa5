"""Run documented commands again, and compare the figures beside them.

    python docs/figures.py --list                 every command of the results, and whether its figures are compared
    python docs/figures.py --short                run those that take a minute
    python docs/figures.py docs/results/rivals.md run those of a page, however long they take

A table is compared where a comment stands directly above it:

    <!-- figures: short
    command: histosge evaluate her2st/C2 --models cokriging,tesla --seeds 1
    rows: systems
    columns: test = pcc; given depth = pcc_given_depth; skill = skill
    tolerance: 0.002
    -->

`rows: systems`: the first cell of a row is a system, as tables name it. `rows: sections`: it is a section, which stands
for SECTION in the command, and a column is a system and a score, such as `kriging = kriging pcc`; `only` names the rows
that are run. Columns that are not named are not compared. `tolerance` is the largest difference allowed; figures depend
on the kind of CPU and on versions of libraries in their last digits, those of networks in more. Commands run in the
folder of the real sections (`$HISTOSGE_REAL_DATA`, or `../shared/data` beside the repository) and write into a folder
of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HISTOSGE_REAL_DATA", ROOT.parent / "shared" / "data"))
_MARK = re.compile(r"<!-- figures:( short)?\n(.*?)-->\n+((?:\|[^\n]*\n)+)", flags=re.DOTALL)
_BLOCK = re.compile(r"^```(?:bash|console)?\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
_PROGRAMS = ("histosge ", "python ")
_FIELDS = {"command", "rows", "columns", "only", "tolerance"}


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
    table: tuple[tuple[str, ...], ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, page: Path) -> list[Figures]:
        """Return the tables of a page that are compared."""
        return [cls._of(page, match) for match in _MARK.finditer(page.read_text(encoding="utf-8"))]

    @classmethod
    def _of(cls, page: Path, match: re.Match[str]) -> Figures:
        fields = dict(re.findall(r"^(\w+): (.*)$", match[2], flags=re.MULTILINE))
        if not {"command", "rows", "columns", "tolerance"} <= set(fields) <= _FIELDS:
            raise SystemExit(
                f"{page}: a comment 'figures' has {', '.join(sorted(_FIELDS))}; got {sorted(fields)}."
            )
        pairs = [part.split(" = ") for part in fields["columns"].split("; ")]
        return cls(
            page,
            fields["command"],
            bool(match[1]),
            rows=fields["rows"],
            columns={heading.strip(): score.strip() for heading, score in pairs},
            tolerance=float(fields["tolerance"]),
            only=tuple(fields["only"].split(", ")) if "only" in fields else (),
            table=tuple(
                tuple(cell.strip().replace("*", "") for cell in line.strip().strip("|").split("|"))
                for line in match[3].splitlines()
            ),
        )

    def cells(self) -> Iterator[tuple[str, str, float]]:
        """Yield row, column and number of each figure that is compared."""
        head, _, *rows = self.table
        for heading in self.columns:
            if heading not in head:
                raise SystemExit(f"{self.page}: the table below the comment has no column '{heading}'.")
            for row in rows:
                text = row[head.index(heading)]
                if (not self.only or row[0] in self.only) and text not in ("–", ""):
                    number = float(re.sub(r"\s*%", "", text))
                    yield row[0], heading, number / 100 if "%" in text else number

    def faults(self) -> list[str]:
        """Run the command, and return a sentence for each figure that is another one now."""
        measured = {name: run(self.command.replace("SECTION", name)) for name in self._sections()}
        faults = []
        for row, heading, documented in self.cells():
            now = self._score(measured, row, self.columns[heading])
            # a figure is rounded to its digits
            if now is None or abs(now - documented) > self.tolerance:
                is_now = "absent" if now is None else f"{now:.4f}"
                faults.append(
                    f"{row}, {heading}: {documented:g} stands in {self.page.name}, and is {is_now} now "
                    f"(tolerance {self.tolerance:g})"
                )
        return faults

    def _sections(self) -> list[str]:
        if self.rows == "systems":
            return [""]
        return list(dict.fromkeys(row for row, *_ in self.cells()))

    def _score(self, measured: Mapping[str, list[dict[str, object]]], row: str, score: str) -> float | None:
        system, metric = (row, score) if self.rows == "systems" else score.rsplit(" ", 1)
        rows = measured["" if self.rows == "systems" else row]
        values = [
            part[metric]
            for part in rows
            if part["set"] == "test" and name_of(part) == system and metric in part
        ]
        return float(values[0]) if values and values[0] is not None else None  # type: ignore[arg-type]


def name_of(row: Mapping[str, object]) -> str:
    """Return a system's name as tables have it."""
    return f"{row['model']} ({row['preset']})" if row["preset"] else str(row["model"])


def run(command: str) -> list[dict[str, object]]:
    """Run a documented command of `histosge evaluate` or `benchmark`, and return the rows of its ``scores.json``."""
    with tempfile.TemporaryDirectory() as folder:
        words = shlex.split(command)
        if words[0] != "histosge":
            raise SystemExit(f"Only commands of histosge can be compared, got: {command}")
        words = [sys.executable, "-W", "ignore", "-m", *words, "--out", folder]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src")])}
        done = subprocess.run(words, cwd=DATA, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{command}\n{done.stderr}")
        rows: list[dict[str, object]] = json.loads((Path(folder) / "scores.json").read_text())["rows"]
        return rows


def commands(page: Path) -> list[str]:
    """Return the commands in the blocks of a page, each on one line."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [" ".join(line.split()) for line in lines if line.startswith(_PROGRAMS)]


def main() -> int:
    """List commands, or run them again; return 1 where a figure is another one now."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*", type=Path, help="by default all pages of results")
    parser.add_argument("--short", action="store_true", help="only those that take about a minute")
    parser.add_argument("--list", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    pages = arguments.pages or sorted(ROOT.glob("docs/results/*.md"))
    tables = [table for page in pages for table in Figures.read(page)]
    if arguments.list:
        compared = {table.command: "short" if table.is_short else "long" for table in tables}
        for page in pages:
            for command in commands(page):
                print(f"{page.name}: {compared.get(command, 'not compared')}: {command}")
        return 0
    faults = []
    for table in tables:
        if table.is_short or not arguments.short:
            own = table.faults()
            number = len(list(table.cells()))
            print(f"{table.page.name}: {table.command}: {number - len(own)} of {number} figures are the same")
            faults += own
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
