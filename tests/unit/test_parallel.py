"""Parts of a computation on several cores: in order, and the same bits on any number of cores."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from histosge._runtime.parallel import map_parts
from histosge.datasets import synthetic
from histosge.models import blocks
from histosge.models.blocks import runs
from histosge.models.cokriging.model import Cokriging
from histosge.section.expression import log_cp10k
from histosge.section.inputs import Inputs, Samples
from histosge.section.locations import at_spots, upsampled

SECTION = synthetic(columns=10, rows=10, genes=12).section


def test_results_are_in_the_order_of_the_parts() -> None:
    """The result of each part stands at the position of the part, and none is missing."""
    values = np.random.default_rng(0).normal(size=1000)
    sums = map_parts(lambda part: values[part].sum(), runs(1000, 7))
    assert sums == [values[start : start + 7].sum() for start in range(0, 1000, 7)]


def test_an_error_in_a_part_is_raised() -> None:
    """An error of one part reaches the caller."""

    def work(part: slice) -> None:
        raise ValueError(f"part {part.start}")

    with pytest.raises(ValueError, match="part 0"):
        map_parts(work, runs(10, 5))


def test_maps_have_the_same_bits_on_one_core_and_on_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Factor scores of one fit, in many blocks, are the same bits on any number of cores."""
    monkeypatch.setattr(blocks, "_BYTES", 1 << 14)
    expression, depth = log_cp10k(SECTION.counts).toarray(), np.asarray(SECTION.counts.sum(axis=1)).ravel()
    samples = Samples(Inputs(at_spots(SECTION)), expression, SECTION.genes, depth)
    predictor = Cokriging(image=False).fit(samples)
    locations = Inputs(upsampled(SECTION, 4))
    assert len(list(blocks.pieces(len(locations), len(predictor.inducing_points)))) > 10
    maps = []
    for cores in (1, 2):
        with threadpool_limits(cores, user_api="blas"):
            maps.append(predictor.factored(locations))
    assert np.array_equal(maps[0].scores, maps[1].scores)
    assert np.array_equal(maps[0].score_sd, maps[1].score_sd)
