"""Splits are disjoint, repeatable, and as their names say."""

from __future__ import annotations

import numpy as np
import pytest

from histosge.datasets import synthetic
from histosge.errors import UsageError
from histosge.section.splits import Split, blocks, parse, published, random, sublattice

SECTION = synthetic(columns=20, rows=20, genes=6).section
N = len(SECTION)


@pytest.mark.parametrize(
    "word", ["random:0.5", "random:0.9", "published", "blocks:4", "blocks:3:2", "sublattice:3"]
)
def test_no_spot_is_both_training_and_test_spot(word: str) -> None:
    """Rows are disjoint and ascending; the same seed gives the same split."""
    split = parse(word, SECTION, seed=3)
    assert not set(split.training) & set(split.test)
    for rows in (split.training, split.test):
        assert (np.diff(rows) > 0).all()
        assert rows.min() >= 0
        assert rows.max() < N
    again = parse(word, SECTION, seed=3)
    assert np.array_equal(split.test, again.test)
    assert np.array_equal(split.training, again.training)


def test_a_random_split_has_its_share_of_training_spots() -> None:
    """Half is half; another seed is another half; every spot is in one of the two."""
    first, second = random(N, seed=0), random(N, seed=1)
    assert len(first.training) == round(N / 2)
    assert len(first.training) + len(first.test) == N
    assert not np.array_equal(first.training, second.training)
    assert len(random(N, fraction=0.8).training) == round(0.8 * N)


def test_the_published_split_is_that_of_the_released_code() -> None:
    """Of the 3460 spots of section 151676 the released code trains on 1730, the first being 0, 1, 2, 4, 6."""
    split = published(3460)
    assert len(split.training) == 1730
    assert split.training[:5].tolist() == [0, 1, 2, 4, 6]
    # half of an odd number is rounded to even, as Python does
    assert (len(published(4789).training), len(published(4015).training)) == (2394, 2008)


def test_blocks_are_contiguous_and_guarded() -> None:
    """Test spots come in squares of the chosen width; no training spot lies within the guard band."""
    from scipy.spatial import cKDTree

    xy = SECTION.spots.xy
    split = blocks(xy, width_um=400.0, guard_um=150.0, seed=2)
    assert len(split.training) + len(split.test) < N
    gap = cKDTree(xy[split.test]).query(xy[split.training])[0]
    assert gap.min() > 150
    # most neighbours of a test spot are test spots too, unlike in a random split
    near = cKDTree(xy).query(xy[split.test], k=7)[1][:, 1:]
    assert np.isin(near, split.test).mean() > 0.6
    scattered = random(N, fraction=1 - len(split.test) / N)
    near = cKDTree(xy).query(xy[scattered.test], k=7)[1][:, 1:]
    assert np.isin(near, scattered.test).mean() < 0.5


@pytest.mark.parametrize("index", [3, 4, 7])
def test_a_sublattice_is_even(index: int) -> None:
    """One spot of ``index`` is a training spot; training spots are √index pitches apart."""
    from scipy.spatial import cKDTree

    a, b = (part.ravel() for part in np.meshgrid(np.arange(42), np.arange(42)))
    xy = np.column_stack([a + 0.5 * b, b * 0.75**0.5])
    split = sublattice(np.column_stack([a, b]).astype(float), index)
    assert len(split.training) == 42 * 42 / index
    nearest = cKDTree(xy[split.training]).query(xy[split.training], k=2)[0][:, 1]
    assert np.allclose(nearest, index**0.5)
    # the section's own lattice says the same, up to its border
    share = len(parse(f"sublattice:{index}", SECTION).training) / N
    assert share == pytest.approx(1 / index, abs=0.06)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("half", "Expected `split`"),
        ("random:x", "Expected `split`"),
        ("random:0.5:2", "Expected `split`"),
        ("published:3", "Expected `split`"),
        ("sublattice:3:1", "Expected `split`"),
        ("sublattice:3.4", "got 3.4"),
        ("random:0", "between 0 and 1"),
        ("random:1", "between 0 and 1"),
        ("blocks:-1", "positive width"),
        ("blocks:1000", "has no training spot"),
        ("sublattice:5", "3, 4 or 7"),
        ("random:0.5:1:2", "Expected `split`"),
    ],
)
def test_invalid_splits_are_refused(word: str, sentence: str) -> None:
    """The message names what is expected."""
    with pytest.raises(UsageError, match=sentence):
        parse(word, SECTION)


def test_overlapping_splits_are_refused() -> None:
    """A spot is either a training or a test spot."""
    with pytest.raises(UsageError, match="both training and test spots"):
        Split("bad", np.array([0, 1]), np.array([1, 2]))
