"""Figures in the documents are those of the command beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TABLE = """<!-- figures: short
command: histosge evaluate SECTION --models ridge --seeds 1
rows: sections
columns: r = ridge pcc; r, plain = cokriging (plain) pcc
only: one
tolerance: 0.01
-->

| section | r | r, plain | other |
|---|--:|--:|--:|
| one | **0.120** | 30 % | – |
| two | 0.5 | 0.5 | 7 |
"""


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script of docs/."""
    monkeypatch.syspath_prepend(str(DOCS))
    for name in ("documented_commands", "figures"):
        sys.modules.pop(name, None)
    return __import__("figures")


def output(figures: ModuleType, printed: str = "", **files: Any) -> Any:
    """What a command printed and wrote."""
    return figures.Output(printed, {f"{name}.json": json.dumps(content) for name, content in files.items()})


def rows(**values: float) -> dict[str, object]:
    """``scores.json`` with rows of test spots."""
    systems = {"ridge": ("ridge", ""), "plain": ("cokriging", "plain")}
    return {
        "rows": [
            {"model": systems[name][0], "preset": systems[name][1], "set": "test", "pcc": value}
            for name, value in values.items()
        ]
    }


def test_a_figure_beyond_its_tolerance_is_named(
    figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named columns of named rows are compared; bold type, per cent and missing figures are read."""
    page = tmp_path / "page.md"
    page.write_text(TABLE)
    (table,) = figures.Figures.read(page)
    assert list(table.cells()) == [("one", "r", [0.12]), ("one", "r, plain", [0.3])]
    ran: set[str] = set()
    measured = rows(ridge=0.125, plain=0.3)
    monkeypatch.setattr(figures, "run", lambda command: ran.add(command) or output(figures, scores=measured))
    assert table.faults() == []
    assert ran == {"histosge evaluate one --models ridge --seeds 1"}
    measured = rows(ridge=0.14)
    first, second = table.faults()
    assert first.startswith("one, r: 0.12 stands in page.md, and is 0.1400 now")
    assert "absent" in second


@pytest.mark.parametrize(
    ("fields", "documented"),
    [
        ("rows: printed\ncolumns: r = r now; #3 = #3\ncells: 2", "| A | 1 | .2 / −.3 |"),
        ("rows: printed sections\ncolumns: r = r now", "| x/A | 1 | .2 / −.3 |"),
        (
            "rows: values\ncolumns: r = run.json:part.r / part.s; #2 = run.json:part.n",
            "| x/A | 1 | .2 / −.3 |",
        ),
        ("rows: finer\ncolumns: r = cells inside pcc / mse", "| A (b) | 1 | .2 / −.3 |"),
        ("rows: systems\ncolumns: r = pcc / mse @ S", "| A (b) | 1 | .2 / −.3 |"),
    ],
)
def test_what_commands_print_and_write_is_read(
    figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: str, documented: str
) -> None:
    """Printed tables, values of JSON and scores of one section or scale give the figures, and others are named."""
    page = tmp_path / "page.md"
    page.write_text(
        f"<!-- figures:\ncommand: python one.py SECTION\n{fields}\ntolerance: 0.01\n-->\n\n"
        f"| name | n | r |\n|---|---|---|\n{documented}\n"
    )
    (table,) = figures.Figures.read(page)
    row = {"model": "A", "preset": "b", "set": "test", "section": "S", "scale": "cells", "zone": "inside"}

    def ran(value: float) -> Any:
        scores = {
            "rows": [row | {"zone": "all", "section": "T", "pcc": 9}, row | {"pcc": value, "mse": -0.3}]
        }
        return output(
            figures,
            f"some words\n| section | seed | r now |\n|--:|--:|--:|\n| A | 1 | {value} / -0.30 |\n",
            scores=scores,
            fine_truth=scores,
            run={"part": {"r": value, "s": -0.3, "n": 1}},
        )

    monkeypatch.setattr(figures, "run", lambda command: ran(0.2))
    assert list(table.cells())
    assert table.faults() == []
    monkeypatch.setattr(figures, "run", lambda command: ran(0.3))
    assert any(
        "0.2 / -0.3 stands in page.md, and is 0.3000 / -0.3000 now" in fault for fault in table.faults()
    )


def test_every_command_is_compared_or_says_why_not(figures: ModuleType) -> None:
    """Columns exist, commands stand on the page, and a command that is not compared has a reason."""
    pages = sorted(DOCS.glob("results/*.md"))
    tables = [table for page in pages for table in figures.Figures.read(page)]
    assert sum(table.is_short for table in tables) > 1
    for table in tables:
        assert list(table.cells()), table
        assert table.command in [command.line for command in figures.commands(table.page)], table.command
    lines = [line for page in pages for line in figures.listed(page)]
    assert not [line for line in lines if "no reason is given" in line]


@pytest.mark.slow
def test_short_commands_give_the_documented_figures(real_data: Path) -> None:
    """The quick commands are run again, and no figure is beyond its tolerance."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "figures.py"), "--short"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
