"""Fits of a section, saved fits, and their transfer to sections that were not fitted."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import histosge as hs
from histosge.errors import DataError, UsageError
from histosge.models.base import AdaptivePredictor, predict
from histosge.section.inputs import in_section
from histosge.workflow.encode import encode
from histosge.workflow.fit_metadata import FitMetadata

RECIPE = hs.Recipe(genes="all")


@lru_cache
def tissue(seed: int) -> hs.Section:
    """A section whose genes are those of every other seed."""
    return hs.synthetic(columns=12, rows=14, genes=60, seed=seed).section


def with_genes(section: hs.Section, number: int) -> hs.Section:
    """The section with its first genes alone."""
    part = {"genes": section.genes[:number], "gene_ids": section.gene_ids[:number]}
    return replace(section, counts=section.counts[:, :number], **part)


def test_a_section_that_was_not_fitted_is_predicted_from_its_image_alone() -> None:
    """Its counts change nothing, nor does the set of locations; its coordinates are not those of the fitted section."""
    first, second, third = (tissue(seed) for seed in range(3))
    fit = hs.fit(first, RECIPE, auxiliary=[second])
    prediction = hs.predict_from_image(fit, third, hs.at_spots(third))
    without_counts = replace(third, counts=third.counts * 0)
    again = hs.predict_from_image(fit, without_counts, hs.at_spots(third))
    part = hs.predict_from_image(fit, third, hs.at_spots(third).take(np.arange(0, len(third), 3)))
    assert np.isfinite(prediction.mean).all()
    assert np.array_equal(prediction.mean, again.mean)
    assert np.allclose(prediction.mean[::3], part.mean, atol=1e-5)
    assert not np.allclose(prediction.mean, hs.predict(fit, third, hs.at_spots(third)).mean, atol=1e-2)
    assert np.array_equal(prediction.locations.xy, third.spots.xy)


def test_another_staining_changes_little() -> None:
    """Features scaled and shifted give the same predictions, once the fit is adapted to the section."""
    first, second, third = (tissue(seed) for seed in range(3))
    fit = hs.fit(first, RECIPE, auxiliary=[second])
    plain = in_section(encode(third, hs.at_spots(third), needs=fit.model.needs, encoder=fit.encoder), 2)
    stained = replace(plain, features=np.asarray(plain.features[:]) * 1.5 + 2.0)
    assert isinstance(fit.predictor, AdaptivePredictor)
    means = [predict(fit.predictor.adapted_to(inputs), inputs).mean for inputs in (plain, stained)]
    assert np.allclose(*means, atol=1e-3)
    assert not np.allclose(means[0], predict(fit.predictor, stained).mean, atol=1e-2)


@pytest.mark.parametrize(
    "recipe", [hs.Recipe("kriging", genes="all"), hs.Recipe(preset="positions", genes="all")]
)
def test_models_of_positions_do_not_predict_another_section(recipe: hs.Recipe) -> None:
    """They interpolate between measured spots, of which another section has none: refused in a sentence."""
    first, second = tissue(0), tissue(1)
    fit = hs.fit(first, recipe)
    with pytest.raises(UsageError, match="interpolates"):
        hs.predict_from_image(fit, second, hs.at_spots(second))


def test_a_saved_fit_is_loaded_without_its_auxiliary_sections(tmp_path: Path) -> None:
    """The fit is kept under all its sections; loading it needs the first alone, and gives the same bits."""
    first, second = tissue(0), with_genes(tissue(1), 40)
    fit = hs.fit(first, RECIPE, auxiliary=[second], folder=tmp_path)
    assert fit.key != hs.fit(first, RECIPE, folder=tmp_path / "alone").key
    loaded = hs.load_fit(first, tmp_path)
    assert loaded.key == fit.key
    assert loaded.auxiliary == fit.auxiliary
    assert list(loaded.panel.names) == list(fit.panel.names)
    assert np.array_equal(loaded.panel.columns, fit.panel.columns)
    locations = hs.upsampled(first, 2)
    means = [hs.predict(part, first, locations).mean for part in (fit, loaded)]
    assert np.array_equal(*means)
    with pytest.raises(UsageError, match="other data"):
        hs.load_fit(second, tmp_path)


def test_a_second_fit_of_the_same_is_loaded(tmp_path: Path) -> None:
    """Files of the first fit stay as they are."""
    first = hs.fit(tissue(0), RECIPE, folder=tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")}
    second = hs.fit(tissue(0), RECIPE, folder=tmp_path)
    assert first.key == second.key
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*")} == times


def test_a_file_of_genes_that_changed_is_another_fit(tmp_path: Path) -> None:
    """The names decide, not the file's: a changed file is fitted anew; equal names in another file are not."""
    names, copy = tmp_path / "genes.txt", tmp_path / "copy.txt"
    section = tissue(0)
    keys = []
    for chosen in (section.genes[:3], section.genes[3:5], section.genes[:3]):
        names.write_text("\n".join(chosen))
        fit = hs.fit(section, hs.Recipe(genes=names), folder=tmp_path / "fits")
        assert fit.genes.tolist() == chosen.tolist()
        keys.append(fit.key)
    assert keys[0] == keys[2] != keys[1]
    copy.write_text(names.read_text())
    assert hs.fit(section, hs.Recipe(genes=copy), folder=tmp_path / "fits").key == keys[0]
    copy.unlink()
    assert hs.load_fit(section, tmp_path / "fits").genes.tolist() == section.genes[:3].tolist()


def test_metadata_of_a_fit_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Recipe and sections come back; no file and half a file are sentences."""
    with pytest.raises(UsageError, match="Fit a section first"):
        FitMetadata.read(tmp_path)
    metadata = hs.fit(tissue(0), RECIPE, auxiliary=[tissue(1)], folder=tmp_path).metadata
    assert FitMetadata.read(tmp_path) == metadata
    (tmp_path / "fit.json").write_text((tmp_path / "fit.json").read_text()[:40])
    with pytest.raises(DataError, match="is damaged"):
        FitMetadata.read(tmp_path)


def test_a_section_is_fitted_once() -> None:
    """Spots given twice would count twice: refused."""
    first = tissue(0)
    with pytest.raises(UsageError, match="twice"):
        hs.fit(first, RECIPE, auxiliary=[first])
