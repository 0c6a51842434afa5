"""Leave-one-section-out cross-validation: each section predicted from its image, with a fit to the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import histosge as hs
from histosge.errors import DataError
from histosge.metrics.pearson import pearson
from histosge.section.depth_adjusted import depth_adjusted
from histosge.section.expression import depth, log_cp10k
from histosge.workflow.leave_one_section_out import section_accuracy
from histosge.workflow.saved_fit import read_accuracy, write_accuracy

SECTIONS = [hs.synthetic(columns=8, rows=9, genes=12, seed=seed).section for seed in (1, 2, 3)]
RECIPE = hs.Recipe(genes="all")
FIT = hs.fit(SECTIONS[0], RECIPE, auxiliary=SECTIONS[1:])
ACCURACY = section_accuracy(SECTIONS, FIT)


def test_it_equals_leaving_out_by_hand() -> None:
    """Correlation and coverage are means over sections, each predicted by a fit to the two others."""
    assert ACCURACY is not None
    correlations, inside = [], []
    for left_out, section in enumerate(SECTIONS):
        first, second = (other for row, other in enumerate(SECTIONS) if row != left_out)
        fit = hs.fit(first, RECIPE, auxiliary=[second])
        prediction = hs.predict_from_image(fit, section, hs.at_spots(section))
        order = prediction.columns(FIT.panel.names)
        measured = log_cp10k(section.counts, columns=section.columns(FIT.panel.names)).toarray()
        mean, reach = prediction.mean[:, order], 1.6448536 * prediction.sd[:, order]
        correlations.append(np.nan_to_num(pearson(measured, mean.astype(float))))
        inside.append((measured <= mean + reach) & (measured >= np.maximum(mean - reach, 0)))
    assert np.allclose(ACCURACY.r, np.mean(correlations, axis=0), atol=1e-4)
    assert pytest.approx(np.concatenate(inside).mean(), abs=0.01) == ACCURACY.coverage
    assert ACCURACY.sections == 3


def test_sections_at_their_mean_depth_are_compared_there() -> None:
    """With ``depth_adjusted`` the section left out is adjusted likewise before predictions are compared with it."""
    recipe = hs.Recipe("cokriging", genes="all", depth_adjusted=True)
    accuracy = section_accuracy(SECTIONS[:2], hs.fit(SECTIONS[0], recipe, auxiliary=SECTIONS[1:2]))
    assert accuracy is not None
    correlations = []
    for section, other in (SECTIONS[:2], SECTIONS[1::-1]):
        prediction = hs.predict_from_image(hs.fit(other, recipe), section, hs.at_spots(section))
        measured = log_cp10k(section.counts, columns=section.columns(FIT.panel.names)).toarray()
        measured = depth_adjusted(measured, depth(section.counts))
        mean = prediction.mean[:, prediction.columns(FIT.panel.names)].astype(float)
        correlations.append(np.nan_to_num(pearson(measured, mean)))
    assert np.allclose(accuracy.r, np.mean(correlations, axis=0), atol=1e-4)


def test_intervals_are_widened_to_cover_sections_left_out() -> None:
    """Genes whose level changes from section to section get wider intervals; no gene gets narrower ones."""
    assert ACCURACY is not None
    assert ACCURACY.coverage < 0.6
    assert min(ACCURACY.calibration_factor) >= 1.0
    assert max(ACCURACY.calibration_factor) > 2.0
    basis = FIT.predictor.basis
    widened = ACCURACY.applied_to(basis)
    factor = basis.calibration_factor * ACCURACY.calibration_factor
    assert np.allclose(widened.calibration_factor, factor, rtol=1e-5)
    assert np.allclose(widened.r_loo, ACCURACY.r, atol=1e-6)


def test_a_single_section_has_no_cross_validation() -> None:
    """There is no result where no section is left to fit."""
    assert section_accuracy(SECTIONS[:1], hs.fit(SECTIONS[0], RECIPE)) is None


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The file gives the same numbers; half a file is refused; no file is nothing."""
    assert ACCURACY is not None
    assert read_accuracy(tmp_path, "key") is None
    write_accuracy(ACCURACY, tmp_path, "key")
    assert read_accuracy(tmp_path, "key") == ACCURACY
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:40])
    with pytest.raises(DataError, match="is damaged"):
        read_accuracy(tmp_path, "key")
