"""Inputs of networks: units, joined columns, and what is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from histosge.datasets import synthetic
from histosge.errors import UsageError
from histosge.models import Needs
from histosge.models.deep.inputs import InputScaling, NetworkInputs
from histosge.section.inputs import Inputs
from histosge.section.locations import at_spots

SPOTS = at_spots(synthetic(columns=6, rows=6, genes=6).section)
RNG = np.random.default_rng(0)
INPUTS = Inputs(
    SPOTS,
    features=RNG.normal(3.0, 2.0, (len(SPOTS), 4)).astype(np.float32),
    colour=RNG.random((len(SPOTS), 3)),
)


def test_positions_are_pitches_from_the_centre_of_the_training_spots() -> None:
    """Their mean is 0, and nearest spots are at a distance of 1."""
    scaling = InputScaling.of(INPUTS, Needs(), standardise=False, join_position=False)
    xy = scaling.network_inputs(INPUTS, Needs(), join_position=False).xy
    assert np.allclose(xy.mean(axis=0), 0, atol=1e-5)
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2) + 9 * np.eye(len(xy))
    assert np.median(distance.min(axis=1)) == pytest.approx(1.0, abs=1e-4)


def test_position_and_colour_join_the_features_and_all_are_standardised() -> None:
    """Four features, two positions and three colours have mean 0 and standard deviation 1 over training spots."""
    needs = Needs(features=True, colour=True)
    scaling = InputScaling.of(INPUTS, needs, standardise=True, join_position=True)
    read = scaling.network_inputs(INPUTS, needs, join_position=True)
    assert read.columns == 9
    assert read.features is not None
    assert np.allclose(read.features.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(read.features.std(axis=0), 1, atol=1e-4)


def test_units_and_training_inputs_return_from_their_arrays() -> None:
    """Arrays of a fit on disk hold the units and the training spots."""
    needs = Needs(features=True)
    scaling = InputScaling.of(INPUTS, needs, standardise=True, join_position=False)
    again = InputScaling.from_arrays(scaling.arrays())
    read = scaling.network_inputs(INPUTS, needs, join_position=False)
    restored = NetworkInputs.from_arrays(read.arrays())
    assert restored is not None
    assert np.array_equal(restored.features, read.features)
    assert np.array_equal(again.network_inputs(INPUTS, needs, join_position=False).features, read.features)
    assert NetworkInputs.from_arrays({}) is None


@pytest.mark.parametrize(
    "needs", [Needs(features=True), Needs(features=True, colour=True), Needs(patch_px=8)]
)
def test_a_missing_image_is_refused(needs: Needs) -> None:
    """A network that reads the image is not given locations without one."""
    bare = replace(INPUTS, colour=None) if needs.colour else Inputs(SPOTS)
    with pytest.raises(UsageError, match="got none"):
        InputScaling.of(bare, needs, standardise=False, join_position=False).network_inputs(
            bare, needs, join_position=False
        )
