"""Features of tiles that another tool computed are placed in µm, checked, and read at any locations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import histosge as hs
from histosge._runtime.types import Array
from histosge.datasets import synthetic
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.errors import DataError, HistosgeError, UsageError

SECTION = synthetic(columns=10, rows=10, genes=12).section
assert SECTION.slide is not None
SLIDE = SECTION.slide
HEIGHT, WIDTH = SLIDE.backend.shapes[0]
SIDE_PX = 28
XY_UM = np.random.default_rng(0).uniform(200, 800, (30, 2))


def grid(side_px: int = SIDE_PX) -> tuple[Array, Array]:
    """Return corners of tiles all over the slide, and features that say where their middle is, in µm."""
    axes = [np.arange(0, length - side_px + 1, side_px) for length in (WIDTH, HEIGHT)]
    corners = np.stack(np.meshgrid(*axes), axis=2).reshape(-1, 2)
    middle = (corners + side_px / 2) * SLIDE.mpp
    return corners, np.concatenate([middle, np.ones((len(middle), 1))], axis=1).astype(np.float32)


def trident(path: Path, corners: Array, features: Array, **changed: Any) -> str:
    """Write a file as TRIDENT does, and return the name of its encoder."""
    attributes = {"patch_size_level0": SIDE_PX, "level0_width": WIDTH, "level0_height": HEIGHT, **changed}
    with h5py.File(path, "w") as file:
        file["features"] = features
        file["features"].attrs["encoder"] = "uni_v1"
        file["coords"] = corners
        file["coords"].attrs.update(attributes)
    return f"features:{path}"


def read(name: str, **options: Any) -> Array:
    """Return the features at the locations."""
    return np.asarray(embed(SLIDE, XY_UM, load_encoder(name, **options))[:])


def test_between_tiles_features_are_interpolated(tmp_path: Path) -> None:
    """Features that are linear in space are returned exactly, in µm of the slide; the card names the encoder."""
    name = trident(tmp_path / "slide.h5", *grid())
    assert np.allclose(read(name), np.c_[XY_UM, np.ones(30)], atol=1e-2)
    encoder = load_encoder(name)
    assert encoder.card.dim == 3
    assert "uni_v1" in encoder.card.licence


def test_small_tiles_are_averaged_over_a_wider_square(tmp_path: Path) -> None:
    """`patch_um` says over what; the mean of a linear feature is its value in the middle."""
    name = trident(tmp_path / "slide.h5", *grid(4), patch_size_level0=4)
    assert np.allclose(read(name, patch_um=80.0), np.c_[XY_UM, np.ones(30)], atol=1e-2)


def test_an_image_may_be_a_smaller_copy_of_the_slide(tmp_path: Path) -> None:
    """TRIDENT writes how large the slide is: tiles of a slide four times as wide lie where the others do."""
    corners, features = grid()
    larger = {"patch_size_level0": 4 * SIDE_PX, "level0_width": 4 * WIDTH, "level0_height": 4 * HEIGHT}
    name = trident(tmp_path / "slide.h5", 4 * corners, features, **larger)
    assert np.allclose(read(name), np.c_[XY_UM, np.ones(30)], atol=1e-2)


def test_clam_keeps_the_width_of_tiles_in_its_file_of_patches(tmp_path: Path) -> None:
    """Without that file the features are refused; with it they lie where TRIDENT's do."""
    corners, features = grid()
    for folder in ("h5_files", "patches"):
        (tmp_path / folder).mkdir()
    path = tmp_path / "h5_files" / "slide.h5"
    with h5py.File(path, "w") as file:
        file["features"], file["coords"] = features, corners
    with pytest.raises(UsageError, match="does not say how wide its tiles are"):
        read(f"features:{path}")
    with h5py.File(tmp_path / "patches" / "slide.h5", "w") as file:
        file["coords"] = corners
        file["coords"].attrs.update({"patch_size": SIDE_PX // 2, "patch_level": 1, "downsample": (2.0, 2.0)})
    assert np.allclose(read(f"features:{path}"), np.c_[XY_UM, np.ones(30)], atol=1e-2)


def test_hest_says_its_scale_which_must_be_that_of_the_image(tmp_path: Path) -> None:
    """Its own µm per pixel decide where tiles lie; on an image of another scale they are refused."""
    corners, features = grid()
    for mpp in (SLIDE.mpp, 1.2 * SLIDE.mpp):
        path = tmp_path / f"{mpp:g}.h5"
        with h5py.File(path, "w") as file:
            file["embeddings"], file["coords"] = features, corners
            file["coords"].attrs.update({"patch_size_src": SIDE_PX, "pixel_size": mpp})
    assert np.allclose(read(f"features:{tmp_path / '2.h5'}"), np.c_[XY_UM, np.ones(30)], atol=1e-2)
    with pytest.raises(DataError, match=r"2\.4 µm per pixel, but the image has 2"):
        read(f"features:{tmp_path / '2.4.h5'}")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("nan", "not all finite"),
        ("few", "has none at"),
        ("other slide", "another slide"),
        ("beyond", "another µm per pixel"),
        ("whole slide", "one vector of a whole slide"),
        ("empty", "has no tiles"),
        ("shapes", "Expected one vector"),
        ("no hdf5", "no HDF5 file"),
        ("missing", "found none"),
    ],
)
def test_what_does_not_belong_to_the_slide_is_refused(fault: str, sentence: str, tmp_path: Path) -> None:
    """One sentence for each, before anything is fitted."""
    (corners, features), path, changed = grid(), tmp_path / "slide.h5", {}
    if fault == "nan":
        features[5, 1] = np.nan
    elif fault == "few":
        corners, features = corners[:40], features[:40]
    elif fault == "other slide":
        changed = {"level0_width": WIDTH + 40, "level0_height": HEIGHT + 40}
    elif fault == "beyond":
        corners, changed = 3 * corners, {"level0_width": "None"}
    elif fault == "whole slide":
        features = features[0]
    elif fault == "empty":
        corners, features = corners[:0], features[:0]
    elif fault == "shapes":
        corners = corners[:-1]
    name = trident(path, corners, features, **changed)
    if fault == "no hdf5":
        path.write_bytes(path.read_bytes()[:200])
    elif fault == "missing":
        path.unlink()
    with pytest.raises(HistosgeError, match=sentence):
        read(name)


def test_a_model_is_fitted_to_them_beside_other_encoders(tmp_path: Path) -> None:
    """Joined with another encoder they are weighed like any; predictions elsewhere read the same file."""
    name = trident(tmp_path / "slide.h5", *grid())
    fit = hs.fit(SECTION, recipe=hs.Recipe(encoder=f"colour+{name}"))
    prediction = hs.predict(fit, SECTION, hs.upsampled(SECTION, 2))
    assert np.isfinite(np.asarray(prediction.mean)).all()
    assert name in str(fit.predictor.summary())
    # µm per pixel stand in no file of TRIDENT: those of the slide are named
    (message,) = [message.text for message in fit.messages if "tiles" in message.text]
    assert "squares of 56.0 µm: 2 µm per pixel" in message
