"""The filter bank of the encoder `filters`: what it does to shapes, turns, shifts, scales and flat patches."""

from __future__ import annotations

import numpy as np
import pytest

from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.encoders.filter_bank import COLUMNS, responses
from histosge.errors import DataError
from histosge.images.slide import SlideImage

NAMES = (
    "strength", "deviation", "coherence", "clusters of 2", "clusters of 4", "dark", "bright",
    "dark ridges", "no bright", "dark blobs", "bright ridges", "anisotropy",
)  # fmt: skip


def of(plane: Array) -> dict[str, float]:
    """Return the responses of one plane by name."""
    columns = responses(np.asarray(plane, dtype=np.float32)[None])
    return {name: float(column[0]) for name, column in zip(NAMES, columns, strict=True)}


def waves(period_px: float, px: int = 64) -> Array:
    """Return a plane that varies along x alone, as a sine."""
    return np.tile(np.sin(2 * np.pi * np.arange(px) / period_px), (px, 1))


def noise(px: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(px, px))


def test_the_bank_has_the_columns_that_it_states() -> None:
    """As many columns as COLUMNS, one number a patch."""
    columns = responses(np.stack([noise(32), noise(32, 1)]).astype(np.float32))
    assert len(columns) == COLUMNS == len(NAMES)
    assert all(column.shape == (2,) for column in columns)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_flat_plane_has_no_response(value: float) -> None:
    """Every response of a flat plane is 0 up to rounding, and finite."""
    assert np.allclose(list(of(np.full((32, 32), value)).values()), 0.0, atol=1e-6)


def test_responses_do_not_change_with_brightness_and_grow_with_contrast() -> None:
    """A constant that is added is not seen; all responses but coherence are proportional to contrast."""
    plane = noise(32)
    usual, brighter, stronger = of(plane), of(plane + 5), of(3 * plane)
    for name in NAMES:
        assert brighter[name] == pytest.approx(usual[name], rel=1e-3, abs=1e-5)
        factor = 1 if name == "coherence" else 3
        assert stronger[name] == pytest.approx(factor * usual[name], rel=1e-3)


def test_turned_and_mirrored_planes_have_the_same_responses() -> None:
    """Turns by 90° and mirror images change nothing but rounding."""
    plane = noise(32)
    usual = list(of(plane).values())
    for turn in range(1, 4):
        assert np.allclose(list(of(np.rot90(plane, turn)).values()), usual, atol=1e-5)
    assert np.allclose(list(of(plane[:, ::-1]).values()), usual, atol=1e-5)


def test_a_turn_by_45_degrees_changes_responses_little() -> None:
    """Waves along a diagonal give within 10 % the responses of waves along an axis."""
    rows, columns = np.indices((64, 64))
    diagonal = np.sin(2 * np.pi * (rows + columns) / 2**0.5 / 12)
    straight, turned = of(waves(12)), of(diagonal)
    for name in ("strength", "coherence", "dark", "bright", "dark ridges", "bright ridges", "anisotropy"):
        assert turned[name] == pytest.approx(straight[name], rel=0.1)


def test_a_shift_of_a_periodic_plane_changes_responses_little() -> None:
    """A patch shifted by a quarter of a period of what repeats on it has within 10 % the same strength."""
    plane = waves(8)
    for name in ("strength", "dark", "bright", "anisotropy"):
        assert of(np.roll(plane, 2, axis=1))[name] == pytest.approx(of(plane)[name], rel=0.1)


def test_blobs_differ_from_ridges_and_bright_ones_from_dark() -> None:
    """Bright lines are ridges without blobs; dark dots on bright have dark blobs, and their negative bright ones."""
    rows, columns = np.indices((48, 48))
    lines = np.exp(-(((columns % 12) - 6) ** 2) / 4)
    dots = np.exp(-(((columns % 12) - 6) ** 2 + ((rows % 12) - 6) ** 2) / 4)
    assert of(lines)["coherence"] > 0.99 > 0.2 > of(dots)["coherence"]
    assert of(-dots)["dark blobs"] > 5 * of(dots)["dark blobs"]
    assert of(-dots)["dark blobs"] > 5 * of(-lines)["dark blobs"]
    assert of(lines)["bright ridges"] == pytest.approx(of(-lines)["dark ridges"], rel=0.01)


def test_clustered_edges_differ_from_the_same_edges_everywhere() -> None:
    """Edges of edges grow where structure comes in patches, at equal mean strength."""
    even = noise(64)
    clustered = even * (np.indices((64, 64))[0] // 16 % 2) * 2
    usual, patchy = of(even), of(clustered)
    assert patchy["clusters of 4"] / patchy["strength"] > 1.2 * usual["clusters of 4"] / usual["strength"]


def test_features_are_the_same_in_every_run_and_batch() -> None:
    """Repeated vectors have the same bits, in any order and any number at once; their number is the card's."""
    encoder, slide = load_encoder("filters"), synthetic().section.slide
    assert slide is not None
    xy_um = np.random.default_rng(0).uniform(300, 2000, (40, 2))
    whole = embed(slide, xy_um, encoder)[:]
    assert whole.shape == (40, encoder.card.dim)
    assert np.array_equal(embed(slide, xy_um, encoder)[:], whole)
    assert np.array_equal(embed(slide, xy_um[::-1][:7], encoder)[:], whole[::-1][:7])


def test_patches_of_another_number_of_sizes_are_refused() -> None:
    """One batch of patches where two sizes are read ends with a sentence."""
    with pytest.raises(DataError, match="patches of 2 sizes, got 1"):
        load_encoder("filters").encode([np.zeros((1, 32, 32, 3), dtype=np.uint8)])


def test_a_finer_scan_of_the_same_tissue_has_nearly_the_same_features() -> None:
    """Twice the resolution changes the filters' responses by less than 5 % of their deviation over the tissue."""
    rng = np.random.default_rng(0)
    # structures of 30 to 60 µm, on an image of 2 µm per pixel and on one of 1
    coarse = np.kron(rng.integers(40, 220, (30, 30, 3)), np.ones((20, 20, 1))).astype(np.uint8)
    fine = np.kron(coarse, np.ones((2, 2, 1), dtype=np.uint8))
    encoder, xy_um = load_encoder("filters"), rng.uniform(300, 900, (40, 2))
    first, second = (
        np.asarray(embed(SlideImage.from_array(image, mpp=mpp), xy_um, encoder)[:])
        for image, mpp in ((coarse, 2.0), (fine, 1.0))
    )
    # the last columns: filters of the widest patch
    first, second = first[:, -3 * COLUMNS :], second[:, -3 * COLUMNS :]
    assert np.abs(first - second).mean() < 0.05 * first.std(axis=0).mean()
