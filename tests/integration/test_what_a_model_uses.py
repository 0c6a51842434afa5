"""The report and the provenance of a run state what the configured model uses, whatever its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import histosge as hs
from histosge.report import write

SECTION = hs.synthetic(columns=8, rows=8, genes=12).section


@pytest.mark.parametrize(
    ("model", "uses_position", "uses_image", "sentence"),
    [
        ("cokriging", True, True, "estimates from the spots around and from the image."),
        ("cokriging:positions", True, False, "estimates from the spots around; the image was not used."),
        ("memorisation", True, False, "estimates from the spots around; the image was not used."),
        ("ridge", False, True, "estimates from the image."),
        ("mean", False, False, "estimates by the mean of each gene; the image was not used."),
    ],
)
def test_a_report_states_what_the_configured_model_uses(
    model: str, uses_position: bool, uses_image: bool, sentence: str, tmp_path: Path
) -> None:
    """Presets and models without the image are reported as such, from the run's folder alone."""
    name, _, preset = model.partition(":")
    recipe = hs.Recipe(model=name, preset=preset or None, genes="all")
    hs.run(SECTION, recipe, target=hs.Target(upsample=2), out=tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["model"]["uses_position"] is uses_position
    assert record["model"]["uses_image"] is uses_image
    assert sentence in write(tmp_path / "run").read_text(encoding="utf-8")
