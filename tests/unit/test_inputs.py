"""Inputs of several sections: an index per row, coordinates as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from histosge import at_spots, synthetic
from histosge.errors import DataError
from histosge.section.inputs import Inputs, Samples, concatenated, in_section, separated

SECTION = synthetic(columns=6, rows=6, genes=4).section
INPUTS = Inputs(at_spots(SECTION))
FEATURES = np.arange(2.0 * len(INPUTS)).reshape(-1, 2)


def test_sections_have_an_index_and_keep_their_coordinates() -> None:
    """Rows of three sections carry 0, 1 and 2; positions stay, and ids become unique."""
    inputs = concatenated([INPUTS, INPUTS, INPUTS])
    n = len(INPUTS)
    assert np.array_equal(inputs.section_index, np.repeat([0, 1, 2], n))
    assert np.array_equal(inputs.locations.xy, np.tile(SECTION.spots.xy, (3, 1)))
    assert list(inputs.locations.points.ids[:n]) == list(SECTION.spots.ids)
    assert inputs.locations.points.ids[2 * n] == f"2/{SECTION.spots.ids[0]}"


def test_separated_positions_keep_sections_apart() -> None:
    """Laid side by side, no location of one section is near one of another; section 0 keeps its coordinates."""
    inputs = concatenated([INPUTS, INPUTS])
    n = len(INPUTS)
    assert np.array_equal(inputs.separated_xy_um[:n], SECTION.spots.xy)
    assert (inputs.separated_xy_um[n:, 0] - SECTION.spots.xy[:, 0] > 9e6).all()
    assert np.array_equal(INPUTS.separated_xy_um, INPUTS.locations.xy)
    assert np.array_equal(separated(SECTION.spots.xy, np.zeros(n, dtype=np.intp)), SECTION.spots.xy)


def test_inputs_move_to_another_section_by_their_index_alone() -> None:
    """The index changes; locations, with their coordinates and ids, are the same object."""
    inputs = in_section(INPUTS, 3)
    assert (inputs.section_index == 3).all()
    assert inputs.locations is INPUTS.locations


def test_one_section_alone_is_returned_as_it_is() -> None:
    """There is nothing to concatenate."""
    assert concatenated([INPUTS]) is INPUTS


def test_features_are_read_in_order_and_must_be_there_for_all() -> None:
    """Rows follow the sections; features of some sections only are refused in a sentence."""
    featured = replace(INPUTS, features=FEATURES)
    inputs = concatenated([featured, replace(featured, features=-FEATURES)])
    assert np.array_equal(np.asarray(inputs.features), np.vstack([FEATURES, -FEATURES]))
    with pytest.raises(DataError, match="some have no image"):
        concatenated([featured, INPUTS])


def test_programs_have_one_column_a_gene_and_stay_when_spots_are_taken() -> None:
    """Programs belong to the genes: some of the spots have the same ones; they are finite."""
    genes, n = 4, len(INPUTS)
    programs = np.eye(genes)[:2]
    samples = Samples(INPUTS, np.ones((n, genes)), np.array(list("abcd")), np.ones(n), programs)
    assert np.array_equal(samples.take(np.arange(3)).programs, programs)
    with pytest.raises(DataError, match=r"finite programs of 4 genes"):
        replace(samples, programs=programs * np.nan)
