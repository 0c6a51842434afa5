"""Recipes: what decides a fit, as one value."""

from __future__ import annotations

import json

import pytest

import histosge as hs
from histosge.errors import UsageError


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


def test_a_recipe_comes_back_from_plain_values() -> None:
    """All fields survive; a field of no recipe is refused by name."""
    recipe = hs.Recipe("cokriging", options={"factors": 5}, genes="all", seed=3)
    assert hs.Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe
    with pytest.raises(ValueError, match="'colour'"):
        hs.Recipe.from_dict({"colour": "red"})


def test_genes_may_be_a_list() -> None:
    """Names in a list, and the same names separated by commas, are one recipe."""
    section = hs.synthetic(columns=8, rows=8, genes=12).section
    names = [str(name) for name in section.genes[[3, 1]]]
    recipe = hs.Recipe("kriging", genes=names)
    assert recipe == hs.Recipe("kriging", genes=",".join(names))
    assert set(hs.fit(section, recipe).genes) == set(names)


def test_a_patch_has_a_positive_width() -> None:
    """A width of 0 is refused by the name of the parameter."""
    with pytest.raises(UsageError, match="`patch_um` must be above 0"):
        hs.Recipe(patch_um=0)
