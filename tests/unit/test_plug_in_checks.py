"""The checks of ``histosge.testing`` notice what they are for, and say it in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import histosge as hs
from histosge.encoders import EncoderCard, PatchSize
from histosge.io.readers import Reader
from histosge.io.writers import WRITERS, Writer
from histosge.models import Model, ModelCard, Needs, Runtime
from histosge.testing import PropertyError, check_encoder, check_model, check_reader, check_writer


@dataclass(frozen=True)
class Line(Model):
    """A plane through the measurements: as small as a model can be."""

    fault: str = ""

    card: ClassVar[ModelCard] = ModelCard("line", "A plane through the measurements.", "", uses_position=True)
    needs: ClassVar[Needs] = Needs()

    def fit(self, samples: Any, *, seed: int = 0, runtime: Runtime = Runtime()) -> Plane:
        design = columns(samples.inputs)
        weights = np.linalg.lstsq(design, samples.dense_expression, rcond=None)[0]
        if self.fault == "seed":
            weights = weights + np.random.default_rng().normal(size=weights.shape)
        if self.fault == "few" and len(samples) < 20:
            raise ValueError("too few")
        if self.fault == "samples":
            samples.expression[:] = 0.0
        return Plane(samples.genes, weights, self.fault)

    def restore(self, genes: Any, arrays: Any, summary: Any) -> Plane:
        weights = arrays["weights"]
        return Plane(genes, weights * 0 if self.fault == "state" else weights, self.fault)


@dataclass(frozen=True, eq=False)
class Plane:
    """Its predictor."""

    genes: Any
    weights: Any
    fault: str

    def blocks(self, inputs: Any) -> Any:
        design = columns(inputs)
        if self.fault == "others":
            design = design - design.mean(axis=0)
        mean = (design @ self.weights).astype(np.float32)
        if self.fault == "finite":
            mean[0, 0] = np.nan
        rows = np.arange(len(inputs))
        if self.fault == "rows":
            rows, mean = rows[1:], mean[1:]
        if self.fault == "position":
            mean[:] = mean[:, :1] * 0 + self.weights[0].astype(np.float32)
        yield rows, mean, None if self.fault != "sd" else -np.ones_like(mean)

    def arrays(self) -> dict[str, Any]:
        return {"weights": self.weights}

    def summary(self) -> dict[str, Any]:
        return {"fault": object()} if self.fault == "summary" else {}


def columns(inputs: Any) -> Any:
    xy_um = inputs.locations.xy
    return np.column_stack([np.ones(len(xy_um)), xy_um / 1000])


MODEL_FAULTS = {
    "seed": "The same seed gives the same bits",
    "few": "A dozen spots are enough to fit. Got: ValueError: too few",
    # expression that a model is given cannot be written to
    "samples": "A model can be fitted to a small section. Got: ValueError: assignment destination is read-only",
    "state": "all it needs is in `arrays` and `summary`",
    "others": "A prediction depends on its location alone",
    "finite": "Predictions are finite. Got: 1 are not",
    "rows": "Every location is predicted once",
    "position": "`uses_position` says",
    "sd": "Standard deviations are positive",
    "summary": "The summary of a fit is fit for JSON",
}


def test_a_sound_model_passes() -> None:
    """The smallest model that keeps the contract has all properties; a registered one is known by its name."""
    check_model(Line())
    check_model("nearest")
    with pytest.raises(hs.UsageError, match="Did you mean"):
        check_model("neares")


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_a_fault_of_a_model_is_named(fault: str) -> None:
    """Each broken property is an error that names the model, the property and what was seen."""
    with pytest.raises(PropertyError) as caught:
        check_model(Line(fault))
    assert str(caught.value).startswith("'line': ")
    assert MODEL_FAULTS[fault] in str(caught.value)
    assert isinstance(caught.value, AssertionError)


GREY = EncoderCard("grey", 1, (PatchSize(55.0, 8),), summary="The mean.")


@dataclass(frozen=True)
class Grey:
    """The mean of a patch."""

    encoded: Callable[[Any], Any] = lambda rgb: rgb.mean(axis=(1, 2, 3))[:, None].astype(np.float32)
    card: EncoderCard = GREY
    fingerprint: str = "grey-1"

    def encode(self, patches: Any) -> Any:
        return self.encoded(patches[0])


@pytest.mark.parametrize(
    ("encoded", "sentence"),
    [
        (lambda rgb: rgb.mean(axis=(1, 2, 3)), "have vectors of the shape"),
        (lambda rgb: rgb.mean(axis=(1, 2, 3))[:, None], "Vectors are float32. Got: float64"),
        (lambda rgb: Grey().encoded(rgb) - np.float32(rgb.mean()), "the same bits in any batch"),
        (lambda rgb: 1 / rgb.astype(np.float32).std(axis=(1, 2, 3))[:, None], "finite vectors"),
    ],
)
def test_a_fault_of_an_encoder_is_named(encoded: Callable[[Any], Any], sentence: str) -> None:
    """Shape, type, batches and flat patches."""
    check_encoder(Grey())
    with np.errstate(divide="ignore"), pytest.raises(PropertyError, match=sentence):
        check_encoder(Grey(encoded))


def sized(path: Path, options: Any) -> hs.Section:
    """A section of the size that stands in the file."""
    words = path.read_text().split()
    if words[-1] != "end":
        raise hs.DataError(f"'{path}' was cut off. Copy it again.")
    section = hs.synthetic(columns=6, rows=6, genes=int(words[0])).section
    return replace(section, name=options.name or "sized", mpp=options.mpp or section.mpp)


def careless(path: Path, options: Any) -> hs.Section:
    """Read the same, without a check of what was read."""
    path.read_text().split()[1]
    return sized(path, options)


def test_faults_of_a_reader_are_named(tmp_path: Path) -> None:
    """Detection that fails, options that are not taken, errors that are no sentence."""
    sample = tmp_path / "a.sized"
    sample.write_text("12 end")
    entry = Reader("sized", "A synthetic section.", lambda path: path.suffix == ".sized", sized, priority=1)
    check_reader(entry, sample)
    faults = (
        (replace(entry, detect=lambda path: bool(path.read_bytes())), "Detection never fails"),
        (replace(entry, detect=lambda path: True), "Other content is not detected"),
        (replace(entry, read=lambda path, options: sized(path, replace(options, mpp=None))), "`mpp` of the"),
        (replace(entry, read=careless), "or a HistosgeError of one sentence. Got: IndexError"),
    )
    for fault, sentence in faults:
        with pytest.raises(PropertyError, match=sentence):
            check_reader(fault, sample)


def test_faults_of_a_writer_are_named() -> None:
    """A file that is half written on a full disk, other bytes each time, and a path that was not written."""
    h5ad = WRITERS["h5ad"]
    text = "x" * 3000

    def plain(path: Path, section: Any, prediction: Any, options: Any) -> Path:
        options.select(prediction)
        path.write_text(text)
        return path

    def changing(path: Path, *_: Any) -> Path:
        path.write_text(str(np.random.default_rng().random()))
        return path

    def nothing(path: Path, *_: Any) -> Path:
        return path

    for write, sentence in (
        (plain, "A full disk is an OutputError"),
        (changing, "gives the same bytes"),
        (nothing, "Something stands at the path"),
    ):
        entry: Writer = replace(h5ad, name="mine", filename="mine.txt", write=write, recognises=None)
        with pytest.raises(PropertyError, match=sentence):
            check_writer(entry)
