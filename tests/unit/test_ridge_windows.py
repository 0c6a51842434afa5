"""Ridge regression on the windows that another model reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import histosge as hs
from histosge.errors import UsageError
from histosge.models import build_model
from histosge.models.base import Crop, Needs
from histosge.section.locations import at_spots
from histosge.workflow.encode import encode, encoder_for

SECTION = hs.synthetic(columns=6, rows=6, genes=8).section


def columns(recipe: hs.Recipe) -> Any:
    """Features of the spots of a section, as a recipe's model reads them."""
    needs = recipe.build().needs
    encoder = encoder_for(SECTION, recipe, needs=needs)
    return np.asarray(encode(SECTION, at_spots(SECTION), needs=needs, encoder=encoder).features[:])  # type: ignore[index]


@pytest.mark.parametrize(
    ("model", "windows"),
    [("bleep:published", 1), ("deepspot", 16), ("deepspot:published", 18), ("triplex", 41), ("istar", 10)],
)
def test_ridge_reads_the_windows_of_another_model(model: str, windows: int) -> None:
    """Columns are those of the other model, in its order, and of no other input."""
    ridge = hs.Recipe("ridge", options={"windows_of": model}, encoder="colour")
    own = columns(hs.Recipe.parse(model, encoder="colour"))
    assert np.array_equal(columns(ridge), own)
    assert own.shape[1] == windows * columns(hs.Recipe("ridge", encoder="colour")).shape[1]
    assert not ridge.build().needs.colour


def test_ridge_reads_a_patch_of_another_width() -> None:
    """In µm or in pixels, and the encoder's own where none is given."""
    assert build_model("ridge").needs == Needs(features=True)
    assert build_model("ridge", crop_px=224).needs.crop == Crop(size_px=224)
    assert build_model("ridge", crop_um=80.0).needs.crop == Crop(80.0)


def test_a_fit_to_windows_predicts() -> None:
    """A recipe with windows fits and predicts, otherwise than without; the table of scores calls it by them."""
    recipe = hs.Recipe("ridge", options={"windows_of": "deepspot"}, encoder="colour", genes="all")
    assert recipe.variant == "windows_of=deepspot"
    plain = hs.Recipe("ridge", encoder="colour", genes="all")
    means = [hs.predict(hs.fit(SECTION, each), SECTION, at_spots(SECTION)).mean for each in (recipe, plain)]
    assert means[0].shape == (len(SECTION), 8)
    assert not np.allclose(*means)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"windows_of": "kriging"}, "reads none"),
        ({"windows_of": "tesla"}, "reads none"),
        ({"windows_of": "nothing"}, "no model named"),
        ({"windows_of": "bleep:nothing"}, "no preset"),
        ({"windows_of": "deepspot", "crop_px": 224}, "Leave out all but one"),
        ({"crop_um": 50.0, "crop_px": 224}, "Leave out all but one"),
        ({"crop_px": 0}, "crop_px"),
    ],
)
def test_windows_that_cannot_be_read_are_refused(options: dict[str, Any], sentence: str) -> None:
    """Two widths, none, and models without image features."""
    with pytest.raises(UsageError, match=sentence):
        build_model("ridge", **options)
