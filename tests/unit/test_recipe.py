"""Recipes: what decides a fit, as one value."""

from __future__ import annotations

from pathlib import Path

import pytest

import histosge as hs
from histosge.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("text", "options", "variant"),
    [
        ("ridge", {}, ""),
        ("histosge:published", {}, "published"),
        (" histosge : published ", {"epochs": 3}, "published, epochs=3"),
        ("idw", {"neighbours": 6}, "neighbours=6"),
    ],
)
def test_text_names_a_model_and_its_preset(text: str, options: dict[str, int], variant: str) -> None:
    """``model:preset`` and options make a recipe, whose variant names what differs from the defaults."""
    recipe = hs.Recipe.parse(text, options)
    assert recipe.model == text.split(":")[0].strip()
    assert recipe.variant == variant
    assert recipe.build().card.name == recipe.model


def test_a_recipe_is_read_as_it_was_written(tmp_path: Path) -> None:
    """The file holds all fields; another file is refused in a sentence."""
    recipe = hs.Recipe("cokriging", options={"factors": 5}, genes="all", seed=3)
    recipe.write(tmp_path / "recipe.json")
    assert hs.Recipe.read(tmp_path / "recipe.json") == recipe
    (tmp_path / "other.json").write_text('{"colour": "red"}')
    with pytest.raises(DataError, match="not a recipe"):
        hs.Recipe.read(tmp_path / "other.json")


def test_a_patch_has_a_positive_width() -> None:
    """A width of 0 is refused by the name of the parameter."""
    with pytest.raises(UsageError, match="`patch_um` must be positive"):
        hs.Recipe(patch_um=0)
