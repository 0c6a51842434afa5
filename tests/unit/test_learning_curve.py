"""Learning curves: the weights of each epoch can be watched, and watching changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

import histosge as hs
from histosge.models import build_model, predict
from histosge.models.base import Runtime
from histosge.section.genes import select
from histosge.section.inputs import Samples
from histosge.section.locations import at_spots
from histosge.section.multi_section import samples_of
from histosge.workflow.encode import encode, encoder_for

SECTION = hs.synthetic(columns=6, rows=6, genes=8).section


def spots(model: Any) -> Samples:
    recipe = hs.Recipe(model="feedforward", encoder="colour", genes="all")
    encoder = encoder_for(SECTION, recipe, needs=model.needs)
    inputs = encode(SECTION, at_spots(SECTION), needs=model.needs, encoder=encoder)
    return samples_of(SECTION, select(SECTION, "all"), inputs)


def test_watching_a_training_changes_nothing() -> None:
    """``watch`` sees every epoch's own predictions, the last of which are the fit's; the fit has the same bits."""
    model: Any = build_model("feedforward", None, epochs=4, hidden=(8,), crop_px=None, batch=16)
    samples = spots(model)
    seen: dict[int, np.ndarray] = {}

    def watch(epoch: int, predictor: Any) -> None:
        seen[epoch] = predict(predictor, samples.inputs).mean

    watched = predict(model.fit(samples, runtime=Runtime(watch=watch)), samples.inputs).mean
    alone = predict(model.fit(samples), samples.inputs).mean
    assert np.array_equal(watched, alone)
    assert list(seen) == [1, 2, 3, 4]
    assert np.array_equal(seen[4], alone)
    assert not np.array_equal(seen[1], seen[4])
