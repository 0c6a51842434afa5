"""What was measured in a predicted section, and the recipe of its prediction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from histosge.errors import UsageError
from histosge.io.anndata_objects import Measured, section_of
from histosge.section.section import Section

from .recipe import Recipe

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["measured_and_recipe"]


def measured_and_recipe(data: Measured, section: Measured | None, **options: Any) -> tuple[Section, Recipe]:
    """Return what was measured, and what to fit to it: of a prediction, the recipe that it was made with.

    Parameters
    ----------
    data
        What was measured, or a prediction.
    section
        What was measured, with ``data`` a prediction.
    options
        As for :func:`section_of`.

    Raises
    ------
    UsageError
        For a prediction without its section or of another one, or by a fit of other or further sections.
    """
    if isinstance(data, Section) or "histosge" not in data.uns:
        return section_of(data if section is None else section, **options), Recipe()
    if section is None:
        raise UsageError(
            "A prediction holds no raw counts to fit again. Give what was measured as `section`."
        )
    measured = section_of(section, **options)
    return measured, _recipe_of(data, measured)


def _recipe_of(adata: AnnData, section: Section) -> Recipe:
    record = json.loads(str(adata.uns["histosge"]["provenance_json"]))
    if not record["section"]["measured"]:
        raise UsageError(
            f"'{record['section']['name']}' was predicted from its image alone: nothing was measured in it to "
            "calibrate a detection with."
        )
    if record["section"]["fingerprint"] != section.fingerprint:
        raise UsageError(
            f"The prediction is not of section '{section.name}'. Give the one that was predicted."
        )
    if record.get("programs"):
        raise UsageError(
            "Expected a prediction without gene programs, which it does not keep: fit the section again with `hs.fit`, "
            "and give the fit to `hs.detect`."
        )
    if record["auxiliary"]:
        raise UsageError(
            "Expected a prediction by a fit of one section, got one with auxiliary sections, which would have to be "
            "fitted again without some spots. Fit the section by itself."
        )
    return Recipe.from_dict(record["recipe"])
