"""Each section predicted from its image by what the others have taught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import histosge as hs
from histosge.errors import DataError
from histosge.metrics.pearson import pearson
from histosge.section.expression import log_cp10k
from histosge.workflow.leave_one_section_out import crosscheck
from histosge.workflow.section_accuracy import Elsewhere

SECTIONS = [hs.synthetic(columns=8, rows=9, genes=12, seed=seed).section for seed in (1, 2, 3)]
RECIPE = hs.Recipe(genes="all")
FITTED = hs.fit(SECTIONS[0], RECIPE, auxiliary=SECTIONS[1:])
FOUND = crosscheck(SECTIONS, FITTED)


def test_it_is_what_leaving_out_by_hand_finds() -> None:
    """Means over sections of correlation and coverage, each section predicted by a fit to the two others."""
    assert FOUND is not None
    skills, inside = [], []
    for left, section in enumerate(SECTIONS):
        one, two = (other for row, other in enumerate(SECTIONS) if row != left)
        prediction = hs.predict_unseen(hs.fit(one, RECIPE, auxiliary=[two]), section, hs.at_spots(section))
        column = {str(name): row for row, name in enumerate(section.genes)}
        order = [list(prediction.genes).index(name) for name in FITTED.panel.names]
        measured = log_cp10k(section.counts)[:, [column[str(name)] for name in FITTED.panel.names]].toarray()
        mean, reach = prediction.mean[:, order], 1.6448536 * prediction.sd[:, order]
        skills.append(np.nan_to_num(pearson(measured, mean.astype(float))))
        inside.append((measured <= mean + reach) & (measured >= np.maximum(mean - reach, 0)))
    assert np.allclose(FOUND.skill, np.mean(skills, axis=0), atol=1e-4)
    assert pytest.approx(np.concatenate(inside).mean(), abs=0.01) == FOUND.coverage
    assert FOUND.sections == 3


def test_intervals_are_widened_to_hold_what_left_out_sections_show() -> None:
    """Genes whose level changes from section to section get wider intervals; no gene gets narrower ones."""
    assert FOUND is not None
    assert FOUND.coverage < 0.6
    assert min(FOUND.stretch) >= 1.0
    assert max(FOUND.stretch) > 2.0
    basis = FITTED.predictor.basis
    told = FOUND.told(basis)
    assert np.allclose(told.calibration_factor, basis.calibration_factor * FOUND.stretch, rtol=1e-5)
    assert np.allclose(told.r_loo, FOUND.skill, atol=1e-6)


def test_a_single_section_teaches_nothing_of_others() -> None:
    """Nothing is said where no section is left to learn from."""
    assert crosscheck(SECTIONS[:1], hs.fit(SECTIONS[0], RECIPE)) is None


def test_it_comes_back_from_its_file_and_damage_is_a_sentence(tmp_path: Path) -> None:
    """What was kept is read again to the bit; half a file is refused; no file is nothing."""
    assert FOUND is not None
    path = tmp_path / "kept.json"
    assert Elsewhere.read(path) is None
    FOUND.write(path)
    assert Elsewhere.read(path) == FOUND
    path.write_text(path.read_text()[:40])
    with pytest.raises(DataError, match="is damaged"):
        Elsewhere.read(path)
