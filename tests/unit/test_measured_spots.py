"""Spots of a section that are scored at the finer truth of another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fine_truth_samples import cells_of, small_tissue, write_cells
from scipy import sparse

from histosge.errors import DataError, UsageError
from histosge.evaluation.ceiling_alarm import halves_of
from histosge.evaluation.fine_truth.audits import refuse_known_noise
from histosge.evaluation.fine_truth.evaluate import evaluate_fine_truth
from histosge.evaluation.fine_truth.measured_spots import MeasuredSpots, read_registration, scored_at
from histosge.evaluation.fine_truth.scales import scaled
from histosge.geometry.points import Points
from histosge.section.expression import log_cp10k

TISSUE = small_tissue()
SECTION = TISSUE.section
TRUTH = cells_of(TISSUE)
# the section turned by 20° and moved
ANGLE = np.deg2rad(20.0)
REGISTRATION = np.array(
    [[np.cos(ANGLE), -np.sin(ANGLE), 900.0], [np.sin(ANGLE), np.cos(ANGLE), -300.0], [0.0, 0.0, 1.0]]
)


def in_own_frame() -> object:
    """Return the truth in a frame of its own."""
    xy_um = np.column_stack([TRUTH.points.xy, np.ones(len(TRUTH))]) @ REGISTRATION.T
    return replace(TRUTH, points=Points(xy_um[:, :2], TRUTH.points.ids), slide=None)


def test_the_truth_comes_into_the_frame_of_the_section() -> None:
    """Molecules of neither are divided or lost, and genes are those in common, in one order."""
    turned = np.random.default_rng(0).permutation(len(SECTION.genes))[:10]
    other = replace(
        in_own_frame(), genes=TRUTH.genes[turned], counts=sparse.csr_matrix(TRUTH.counts[:, turned])
    )
    spots = scored_at(other, MeasuredSpots(SECTION, REGISTRATION))
    np.testing.assert_allclose(spots.other_half.points.xy, TRUTH.points.xy, atol=1e-6)
    assert spots.section.genes.tolist() == spots.other_half.genes.tolist()
    assert set(spots.section.genes) == set(TRUTH.genes[turned])
    columns = SECTION.columns(spots.section.genes)
    assert spots.section.counts.sum() == SECTION.counts[:, columns].sum()
    assert spots.other_half.counts.sum() == other.counts.sum()
    assert "10 of 10 genes" in spots.section.messages[-1].text


def test_models_are_scored_at_the_cells_of_another_section(tmp_path: Path) -> None:
    """Cokriging on measured spots is ahead of the nearest spot, and the files say which spots they were."""
    spots = MeasuredSpots(replace(SECTION, slide=None), REGISTRATION)
    result = evaluate_fine_truth(
        in_own_frame(), "kriging", layout=spots, seeds=1, widths_um=[50], out=tmp_path
    )
    cokriging, nearest = (
        result.select(scale="50 µm", zone="all", model=m)[0] for m in ("cokriging", "nearest")
    )
    assert cokriging["pcc"] > nearest["pcc"]
    assert result.layout == f"spots of {SECTION.name}"
    assert any("genes of" in text for text in result.messages)


def test_sections_apart_are_refused() -> None:
    """Another frame, no common gene, and pixels in place of µm are named."""
    with pytest.raises(DataError, match="do not share a frame"):
        scored_at(
            replace(TRUTH, points=Points(TRUTH.points.xy + 1e4, TRUTH.points.ids)), MeasuredSpots(SECTION)
        )
    renamed = replace(TRUTH, genes=np.char.add("x", TRUTH.genes))
    with pytest.raises(DataError, match="0 genes in common"):
        scored_at(renamed, MeasuredSpots(SECTION))
    with pytest.raises(UsageError, match="not for pixels"):
        MeasuredSpots(SECTION, np.diag([2.0, 2.0, 1.0]))
    with pytest.raises(UsageError, match="last row"):
        MeasuredSpots(SECTION, np.ones((3, 3)))
    with pytest.raises(UsageError, match="`median_depth`"):
        scored_at(TRUTH, MeasuredSpots(SECTION), median_depth=1e9)


@pytest.mark.parametrize("text", ["1 0 0\n0 1 0\n", "1 0 0\n0 1 0\n0 0 one\n", "1,0,0\n0,1\n0,0,1\n"])
def test_files_that_hold_no_matrix_are_refused(tmp_path: Path, text: str) -> None:
    """A matrix is three lines of three numbers, with blanks or commas."""
    path = tmp_path / "matrix.csv"
    path.write_text("1, 0, 5\n0 1 6\n\n0,0,1\n")
    assert read_registration(path)[:, 2].tolist() == [5.0, 6.0, 1.0]
    path.write_text(text)
    with pytest.raises(UsageError, match="three lines of three numbers"):
        read_registration(path)
    with pytest.raises(UsageError, match="got nothing"):
        read_registration(tmp_path / "none")


def test_a_prediction_that_knows_the_truths_molecules_is_refused() -> None:
    """The truth itself, noise included, is above the noise ceiling; its expectation is not."""
    spots = scored_at(cells_of(TISSUE, molecules=60.0), MeasuredSpots(SECTION))
    truth = scaled(spots, "cells")
    columns = np.arange(len(spots.section.genes))
    halves = halves_of(truth.counts, columns)
    expected = TISSUE.truth(truth.xy_um)[:, SECTION.columns(spots.section.genes)]
    refuse_known_noise("honest", expected, halves, scale="cells")
    with pytest.raises(DataError, match="above the noise ceiling"):
        refuse_known_noise("known", log_cp10k(truth.counts).toarray(), halves, scale="cells")


@pytest.mark.slow
def test_the_command_takes_a_section_beside_the_truth(tmp_path: Path) -> None:
    """`evaluate SECTION --truth` fits its spots; options of the other kind are refused by name."""
    from typer.testing import CliRunner

    from histosge.cli import commands

    section = TISSUE.write(tmp_path / "outs")
    cells = write_cells(replace(in_own_frame(), slide=None), tmp_path / "cells") / "cells.csv.gz"
    matrix = tmp_path / "matrix.txt"
    # write_cells turns by a quarter: x_um = 5000 − y, y_um = x
    quarter = np.array([[0.0, -1.0, 5000.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.savetxt(matrix, quarter @ REGISTRATION)
    words = [str(section), "--truth", str(cells), "--models", "idw", "--seeds", "1", "--widths-um", "50"]
    run = CliRunner().invoke(
        commands(), ["evaluate", *words, "--registration", str(matrix), "--out", str(tmp_path / "o")]
    )
    assert run.exit_code == 0, run.output
    assert "fine_truth.md" in run.output
    refused = CliRunner().invoke(commands(), ["evaluate", *words, "--layout", "legacy"])
    assert refused.exit_code != 0
    assert "--layout" in refused.output
