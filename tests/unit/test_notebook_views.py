"""What a notebook shows of the public values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factored_samples import basis_of

import histosge as hs
from histosge.section.splits import parse
from histosge.workflow.result import RunResult


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """One of each kind."""
    tissue = hs.synthetic(columns=8, rows=8, genes=12)
    section, recipe = tissue.section, hs.Recipe(genes="all")
    fit = hs.fit(section, recipe)
    prediction = hs.predict(fit, section, hs.upsampled(section, 4))
    factors = basis_of(section.genes)
    scores = np.zeros((len(prediction), factors.loadings.shape[1]), dtype=np.float32)
    out = tmp_path_factory.mktemp("run")
    return {
        "Synthetic": tissue,
        "Section": section,
        "Points": section.spots,
        "SlideImage": section.slide,
        "Locations": hs.upsampled(section, 4),
        "Split": parse("random:0.5", section, 0),
        "Recipe": recipe,
        "Fit": fit,
        "Prediction": prediction,
        "FactoredPrediction": hs.FactoredPrediction(prediction.locations, factors, scores),
        "RunResult": hs.run(section, recipe, out=out, outputs=hs.Outputs(figures=False)),
    }


def test_every_value_is_one_short_line(values: dict[str, object]) -> None:
    """No array is printed: a line names the kind of value and what distinguishes it."""
    for kind, value in values.items():
        text = repr(value)
        assert text.startswith(f"{kind}("), text
        assert len(text) <= 200, text
        assert "array(" not in text.replace("\n", "array("), text
    assert "64 spots × 12 genes" in repr(values["Section"])
    assert "256 locations" in repr(values["Prediction"])


def test_sections_and_predictions_have_a_table(values: dict[str, object]) -> None:
    """The view of a section has its numbers and its image, that of a prediction the first genes."""
    section = values["Section"]
    assert isinstance(section, hs.Section)
    view = section._repr_html_()
    assert "64 spots × 12 genes" in view
    assert "data:image/png;base64," in view
    assert len(view) < 200_000
    prediction = values["Prediction"]
    assert isinstance(prediction, hs.Prediction)
    assert "TUMOUR1" in prediction._repr_html_()


def test_a_name_is_text_and_not_markup(values: dict[str, object]) -> None:
    """Names of sections and genes come from files: in a notebook they must not run."""
    section = values["Section"]
    assert isinstance(section, hs.Section)
    assert "<script>" not in replace(section, name="<script>x</script>")._repr_html_()
    prediction = values["Prediction"]
    assert isinstance(prediction, hs.Prediction)
    names = np.array([f"<b>{name}</b>" for name in prediction.genes])
    assert "<b>" not in replace(prediction, genes=names)._repr_html_()


def test_a_run_lists_its_files(values: dict[str, object]) -> None:
    """The view of a run says where its files are."""
    result = values["RunResult"]
    assert isinstance(result, RunResult)
    assert "prediction.h5ad" in result._repr_html_()
    assert str(result.out) in repr(result)
