"""Figures in the documents are those of the command beside them."""

from __future__ import annotations

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
    sys.modules.pop("figures", None)
    return __import__("figures")


def rows(**values: float) -> list[dict[str, object]]:
    """Rows of ``scores.json`` at test spots."""
    systems = {"ridge": ("ridge", ""), "plain": ("cokriging", "plain")}
    return [
        {"model": systems[name][0], "preset": systems[name][1], "set": "test", "pcc": value}
        for name, value in values.items()
    ]


def test_a_figure_beyond_its_tolerance_is_named(
    figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named columns of named rows are compared; bold type, per cent and missing figures are read."""
    page = tmp_path / "page.md"
    page.write_text(TABLE)
    (table,) = figures.Figures.read(page)
    assert list(table.cells()) == [("one", "r", 0.12), ("one", "r, plain", 0.3)]
    ran: list[str] = []
    measured = rows(ridge=0.125, plain=0.3)
    monkeypatch.setattr(figures, "run", lambda command: ran.append(command) or measured)
    assert table.faults() == []
    assert ran == ["histosge evaluate one --models ridge --seeds 1"]
    measured[:] = rows(ridge=0.14)
    first, second = table.faults()
    assert first.startswith("one, r: 0.12 stands in page.md, and is 0.1400 now")
    assert "absent" in second


def test_every_marked_table_can_be_read(figures: ModuleType) -> None:
    """Columns exist, commands stand on the page, and some are short."""
    tables = [table for page in sorted(DOCS.glob("results/*.md")) for table in figures.Figures.read(page)]
    assert any(table.is_short for table in tables)
    for table in tables:
        assert list(table.cells()), table
        assert table.command in figures.commands(table.page), table.command


@pytest.mark.slow
def test_short_commands_give_the_documented_figures(real_data: Path) -> None:
    """The commands that take a minute are run again, and no figure is beyond its tolerance."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "figures.py"), "--short"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
