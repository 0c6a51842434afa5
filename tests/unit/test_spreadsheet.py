"""Tables that people open in spreadsheets hold no formulas, and are read back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histosge._runtime.spreadsheet import as_cell, of_cell
from histosge.report.labels import labels_in


@pytest.mark.parametrize(
    "name", ["=HYPERLINK(1)", "+1+cmd", "-x", "@sum", "\tx", "AAC-1", "'quoted", "-2.5", ""]
)
def test_names_of_cells_are_no_formulas_and_come_back(name: str) -> None:
    """A text that begins like a formula gets an apostrophe; any name is read back as it was."""
    cell = as_cell(name)
    assert not cell.startswith(("=", "@"))
    assert of_cell(cell) == name
    assert not cell.startswith("+")


def test_labels_of_locations_with_such_names_are_found(tmp_path: Path) -> None:
    """The report finds the labels of locations whose ids begin with an equals sign."""
    ids = np.array(["=a", "=b", "c"])
    lines = [f"{as_cell(name)}\t0\t0\t{label}" for name, label in zip(ids, "010", strict=True)]
    (tmp_path / "domains.tsv").write_text("\n".join(["location\tx_um\ty_um\tseed0", *lines]) + "\n")
    (labels,) = labels_in(tmp_path, ids, ids)
    assert labels.codes.tolist() == [0, 1, 0]
