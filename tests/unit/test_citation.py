"""The BibTeX of what was used."""

from __future__ import annotations

import pytest

import histosge as hs


def test_the_paper_comes_first_and_entries_are_unique() -> None:
    """Without names only the paper behind the package; a name given twice adds one entry."""
    assert (
        hs.citation().startswith("@article{shi2024histosge")
        or "shi2024histosge" in hs.citation().split("\n")[0]
    )
    assert hs.citation(["uni", "uni"]) == hs.citation(["uni"])
    assert hs.citation(["uni"]).count("@") == 2


@pytest.mark.parametrize("name", [*hs.MODELS, *hs.ENCODERS])
def test_every_model_and_encoder_can_be_cited(name: str) -> None:
    """The key on each card is in the bibliography, or there is none."""
    assert hs.citation([name]).count("@") >= 1


def test_unknown_names_are_refused() -> None:
    """In a sentence that names the commands that list what there is."""
    with pytest.raises(hs.UsageError, match="histosge list encoders"):
        hs.citation(["histosg"])
