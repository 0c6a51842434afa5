"""Expression is standardised by gene and by section; reliability is a correlation within sections."""

from __future__ import annotations

import numpy as np
from cokriging_samples import DEPTH, EXPRESSION, N

from histosge.models.cokriging.standardise import Standardisation, reliability


def test_a_section_that_was_not_fitted_has_the_mean_of_the_others() -> None:
    """The last row of the means is the mean over sections, and stands for every further index."""
    sections = np.repeat([0, 1], [N // 2, N - N // 2])
    shifted = EXPRESSION + 2.0 * sections[:, None]
    standardisation = Standardisation.fit(shifted, DEPTH, sections=sections)
    row = int(standardisation.row_of(np.array([7]))[0])
    assert np.allclose(standardisation.means[row], standardisation.means[:2].mean(axis=0))
    values = standardisation.transform(shifted, sections)
    assert np.allclose(values[sections == 1].mean(axis=0), 0.0)
    back = values * standardisation.inverse_scale + standardisation.means[sections]
    assert np.allclose(back, shifted)


def test_differences_between_sections_are_not_reliable() -> None:
    """A gene of noise within two sections is unreliable, however much their means differ."""
    rng = np.random.default_rng(0)
    sections = np.repeat([0, 1], 6000)
    depth = np.full(12000, 1000.0)
    signal = rng.gamma(2.0, 10.0, 12000)
    counts = rng.poisson(np.column_stack([np.where(sections == 0, 5.0, 50.0), signal]))
    values = reliability(np.log1p(counts * 1e4 / depth[:, None]), depth, sections=sections)
    assert values[0] < 0.1
    assert values[1] > 0.7
