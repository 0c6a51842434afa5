"""Damaged inputs of every kind: the command of CONTRIBUTING for a fixed count and seed."""

from __future__ import annotations

from pathlib import Path

import every_kind
import mutations
import numpy as np
import pytest
import reader_kinds
import run
from judge import verdict
from kinds import Kind
from seen import Seen

# quick ones to make and to use; the slow test has all
QUICK = [
    "spaceranger-h5",
    "spaceranger-mtx",
    "h5ad",
    "image-tiff",
    "regions",
    "cells-csv",
    "accuracy",
    "plan",
]


def wrong(result: run.Result) -> str:
    return "\n".join(
        f"{item['kind']}-{item['number']}: {item['why']}, {item['mutation']}" for item in result.wrong
    )


def test_damaged_inputs_are_refused_or_read_as_they_are(tmp_path: Path) -> None:
    """None of some mutations of the quick kinds ends in a defect, in debris, or in numbers of something else."""
    result = run.fuzz(80, 0, kinds=QUICK, jobs=2)
    assert not result.wrong, wrong(result)
    assert sum(count["refused"] for count in result.counts.values()) > 10


@pytest.mark.slow
def test_more_damaged_inputs_of_every_kind() -> None:
    """The same for every kind of input and of own file, and other mutations."""
    result = run.fuzz(600, 1, jobs=2)
    assert not result.wrong, wrong(result)


def test_the_same_seed_gives_the_same_mutations() -> None:
    """Mutations are drawn from kind and seed alone."""
    kind = every_kind.KINDS["cells-csv"]
    first, second, other = (mutations.draw(kind, ["cells.csv"], 12, seed) for seed in (4, 4, 5))
    assert first == second
    assert first != other


def test_what_is_damaged_is_whole_before(tmp_path: Path) -> None:
    """The unchanged input gives the counts of the section that it was made of."""
    kind = every_kind.KINDS["spaceranger-h5"]
    kind.make(tmp_path)
    seen = kind.use(tmp_path, tmp_path)
    assert seen.code == 0
    assert np.array_equal(seen.parts["counts"], reader_kinds.tissue().counts.toarray())


WHOLE = Seen(
    parts={
        "ids": ["a", "b"],
        "genes": ["g"],
        "counts": np.array([[1.0], [2.0]]),
        "page": "x",
    }
)


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (Seen(parts=dict(WHOLE.parts)), "equal"),
        (Seen(2, "error: Expected one thing, got another. Give that."), "refused"),
        (Seen(2, "error: Expected one thing\ngot another"), "WRONG"),
        (Seen(1, "error: Something unexpected happened."), "WRONG"),
        (Seen(1, trace="ValueError: x"), "WRONG"),
        (Seen(parts=WHOLE.parts | {"counts": np.array([[1.0], [3.0]])}), "another"),
        (Seen(parts=WHOLE.parts | {"counts": np.array([[1.0], [np.nan]])}), "WRONG"),
        (Seen(parts=WHOLE.parts | {"counts": np.array([[1.0], [-2.0]])}), "WRONG"),
        (
            Seen(parts=WHOLE.parts | {"ids": ["b"], "counts": np.array([[2.0]])}),
            "WRONG",
        ),
        (
            Seen(
                parts=WHOLE.parts | {"ids": ["b"], "counts": np.array([[2.0]])},
                messages=("one lost",),
            ),
            "message",
        ),
        (Seen(parts=WHOLE.parts | {"page": "y"}), "WRONG"),
    ],
)
def test_outcomes_are_judged(seen: Seen, outcome: str) -> None:
    """A file of counts may change counts, in numbers that are counts, and no other part."""
    kind = Kind(
        "example",
        lambda folder: None,
        lambda folder, out: seen,
        {"counts.csv": ("counts", "ids")},
    )
    assert verdict(kind, WHOLE, seen, ["counts.csv"], set())[0] == outcome


def test_what_is_left_behind_is_wrong() -> None:
    """A refusal that leaves a file, and a result beside one, are wrong."""
    kind = every_kind.KINDS["cells-csv"]
    assert verdict(kind, WHOLE, Seen(3, "error: No."), ["cells.csv"], {"draft"})[0] == "WRONG"
    assert verdict(kind, WHOLE, WHOLE, ["cells.csv"], {"draft"})[0] == "WRONG"


@pytest.mark.parametrize("name", [kind.name for kind in every_kind.KINDS.values() if kind.plain is not None])
def test_a_plain_reading_of_whole_inputs_agrees(tmp_path: Path, name: str) -> None:
    """Loops over h5py, csv and gzip find the counts and positions that the readers find."""
    kind = every_kind.KINDS[name]
    kind.make(tmp_path)
    seen = kind.use(tmp_path, tmp_path)
    assert kind.plain is not None
    plain = kind.plain(tmp_path)
    # the readers return spots in the order of their names
    rows = np.argsort(plain["ids"])
    assert [plain["ids"][row] for row in rows] == seen.parts["ids"]
    assert plain["gene_ids"] == seen.parts["gene_ids"]
    assert np.array_equal(np.asarray(plain["counts"])[rows], seen.parts["counts"])
    assert np.allclose(np.asarray(plain["xy_px"])[rows], seen.parts["xy_px"])
