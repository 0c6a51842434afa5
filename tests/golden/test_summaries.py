"""Numbers that must not move unnoticed: summaries of the main results on the synthetic section.

Where a change is meant, write the new ones with ``HISTOSGE_WRITE_GOLDEN=1 pytest tests/golden`` and look at the
difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import histosge as hs
from histosge._runtime.types import Array
from histosge.encoders import load_encoder
from histosge.encoders.embed import embed
from histosge.figures.markers import choose_markers
from histosge.section.alignment import check_alignment

GOLDEN = Path(__file__).with_name("summaries.json")


def numbers_of(values: Array) -> list[float]:
    """Mean, deviation, and three quantiles."""
    numbers = [values.mean(), values.std(), *np.quantile(values, [0.05, 0.5, 0.95])]
    return [round(float(number), 5) for number in numbers]


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    """The summaries as they are now."""
    section = hs.synthetic(columns=14, rows=14, genes=48).section
    assert section.slide is not None
    places = hs.upsampled(section, 3)
    summary: dict[str, object] = {
        "spots": len(section),
        "counts": numbers_of(section.counts.toarray()),
        "image": numbers_of(section.slide.thumbnail(8.0)),
        "texture": numbers_of(embed(section.slide, section.spots.xy, load_encoder("texture"))[:]),
        "grid": len(hs.grid(section, 40.0)),
        "markers": list(choose_markers(section, section.genes)),
        "alignment": round(check_alignment(section).margin or 0.0, 2),
    }
    for model in ("kriging", "ridge", "idw"):
        fitted = hs.fit(section, hs.Recipe(model=model, genes="all"))
        summary[model] = numbers_of(hs.predict(fitted, section, places).mean)
    return summary


def test_summaries_are_as_they_were(found: dict[str, object]) -> None:
    """Counts, image, features, predictions and choices on the synthetic section have not changed."""
    if os.environ.get("HISTOSGE_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    known = json.loads(GOLDEN.read_text())
    assert found.keys() == known.keys()
    for name, value in found.items():
        if isinstance(value, list) and not isinstance(value[0], str):
            assert value == pytest.approx(known[name], rel=1e-3, abs=1e-3), name
        else:
            assert value == known[name], name
