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
    """Columns exist, commands stand on the page, and a command that is not compared has a reason, on all pages."""
    tables = [table for page in figures.pages() for table in figures.Figures.read(page)]
    assert sum(table.is_short for table in tables) > 1
    for table in tables:
        assert list(table.cells()), table
        assert table.command in [command.line for command in figures.commands(table.page)], table.command
    lines = [line for page in figures.pages() for line in figures.listed(page)]
    assert not [line for line in lines if "no reason is given" in line]


def test_every_table_of_numbers_has_a_command(figures: ModuleType, tmp_path: Path) -> None:
    """Under its heading, or a wider one, stands the command that made a table of numbers, or a reason."""
    without = sys.modules["documented_commands"].tables_without_command
    page = tmp_path / "page.md"
    table = "\n| a | b |\n|---|--:|\n| c | 1 |\n"
    page.write_text(
        f"# One\n{table}\n## Two\n\n`python benchmarks/one.py`\n\n### Three\n{table}\n"
        f"## Four\n{table}\n<!-- not compared: why -->\n{table}"
    )
    assert without(page) == ["One", "Four"]
    pages = [page for page in figures.pages() if page.name != "CHANGELOG.md"]
    assert {page.name: without(page) for page in pages if without(page)} == {}


def test_a_run_that_compares_nothing_fails(
    figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without real sections, tables of them are counted; others are compared, and none is a failure."""
    real, drawn = tmp_path / "real.md", tmp_path / "drawn.md"
    real.write_text(TABLE.replace("SECTION", "../shared/data/SECTION"))
    drawn.write_text(TABLE)
    monkeypatch.setattr(figures, "DATA", tmp_path / "absent")
    measured = rows(ridge=0.12, plain=0.3)
    monkeypatch.setattr(figures, "run", lambda command: output(figures, scores=measured))
    tables = [table for page in (real, drawn) for table in figures.Figures.read(page)]
    assert figures.compare(tables) == 0
    assert "1 tables are of real sections" in capsys.readouterr().out
    assert figures.compare(tables[:1]) == 1
    assert capsys.readouterr().out.endswith("0 figures were compared\n")


def test_rows_name_sections_that_exist(figures: ModuleType, real_data: Path) -> None:
    """With the section of each row that is compared in place of SECTION, a command reads what is there."""
    documented = sys.modules["documented_commands"]
    lines = {
        table.command.replace("SECTION", row.split(", ")[0])
        for page in figures.pages()
        for table in figures.Figures.read(page)
        for row, *_ in table.cells()
    }
    calls = [words for line in sorted(lines) for words in documented.calls(line)]
    assert [fault for words in calls for fault in documented.faults(words, with_data=True)] == []


@pytest.mark.slow
def test_short_commands_give_the_documented_figures() -> None:
    """The quick commands are run again, and no figure is beyond its tolerance; real sections where there are any."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "figures.py"), "--short"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
