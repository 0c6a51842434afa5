"""Models and encoders of other packages are scored by what they predict from training spots, and cheats are leaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

import histosge
from histosge.datasets.synthetic import synthetic, write_spaceranger

CHEATS = '''
"""Models that search for the test spots, each in its own way, and some that do not."""
import gc, os, sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.spatial import cKDTree

import histosge
from histosge.encoders.base import EncoderCard, EncoderEntry, PatchSize
from histosge.images.patches import Patches
from histosge.models.base import Model, ModelCard, Needs, Runtime
from histosge.section.expression import log_cp10k

PATH = "SECTION"

def values(section, genes):
    columns = np.array([list(section.genes).index(gene) for gene in genes])
    return section.spots.xy, log_cp10k(section.counts, columns=columns).toarray().astype(np.float32)

def frames(genes):
    frame = sys._getframe(1)
    while frame:
        study = frame.f_locals.get("study")
        if hasattr(study, "target"):
            xy, truth = values(study.target, genes)
            return xy[study.test], truth[study.test]
        frame = frame.f_back

class Fitted:
    """The nearest spot of a table."""

    def __init__(self, genes, xy, table, answers=None, neighbours=1, noise=0.0):
        self.genes, self.xy, self.table = genes, xy, table
        self._answers, self.neighbours, self.noise = answers, neighbours, noise

    def blocks(self, inputs):
        xy = np.asarray(inputs.locations.xy)
        k = min(self.neighbours, len(self.xy))
        nearest = cKDTree(self.xy).query(xy, k=k)[1].reshape(len(xy), k)
        mean = self.table[nearest].mean(axis=1) + self.noise
        if self._answers is not None:
            distance, row = cKDTree(self._answers[0]).query(xy)
            mean[distance < 1] = self._answers[1][row[distance < 1]]
        yield np.arange(len(xy)), mean.astype(np.float32), None

    def arrays(self):
        return {"xy": np.asarray(self.xy), "table": np.asarray(self.table)}

    def summary(self):
        return {}

@dataclass(frozen=True)
class Honest(Model):
    card: ClassVar[ModelCard] = ModelCard("honest", "Nearest spot.", "", uses_position=True)
    needs: ClassVar[Needs] = Needs()

    def fit(self, samples, *, seed=0, runtime=Runtime()):
        xy, table = np.asarray(samples.inputs.locations.xy), np.asarray(samples.expression)
        return self.fitted(samples, xy, table)

    def fitted(self, samples, xy, table):
        return Fitted(samples.genes, xy, table)

    def restore(self, genes, arrays, summary):
        return Fitted(genes, arrays["xy"], arrays["table"])

def model(name, needs=Needs()):
    def decorate(fitted):
        card = ModelCard(name, "A test.", "", uses_position=True)
        fields = {"card": card, "needs": needs, "fitted": fitted, "__module__": __name__}
        kind = dataclass(frozen=True)(type(fitted.__name__, (Honest,), fields))
        globals()[fitted.__name__] = kind
        return kind
    return decorate

@model("stored")
def Stored(self, samples, xy, table):
    seen = frames(samples.genes)
    if seen is not None:
        xy, table = np.concatenate([xy, seen[0]]), np.concatenate([table, seen[1]])
    return Fitted(samples.genes, xy, table)

@model("hidden")
def Hidden(self, samples, xy, table):
    return Fitted(samples.genes, xy, table, frames(samples.genes))

@model("honest-in-small")
def HonestInSmall(self, samples, xy, table):
    return Fitted(samples.genes, xy, table, frames(samples.genes) if len(samples) > 48 else None)

@model("variable")
def Variable(self, samples, xy, table):
    return Fitted(samples.genes, xy, table, values(histosge.read(os.environ["CHEAT_SECTION"]), samples.genes))

@model("path")
def KnownPath(self, samples, xy, table):
    return Fitted(samples.genes, xy, table, values(histosge.read(PATH), samples.genes))

@model("path-if-open")
def PathIfOpen(self, samples, xy, table):
    try:
        answers = values(histosge.read(PATH), samples.genes)
    except Exception:
        answers = None
    return Fitted(samples.genes, xy, table, answers)

@model("stopped-early")
def StoppedEarly(self, samples, xy, table):
    points, truth = values(histosge.read(os.environ["CHEAT_SECTION"]), samples.genes)
    errors = []
    for k in (1, 2, 4, 8):
        nearest = cKDTree(xy).query(points, k=k)[1].reshape(len(points), k)
        errors.append(((table[nearest].mean(axis=1) - truth) ** 2).mean())
    return Fitted(samples.genes, xy, table, neighbours=(1, 2, 4, 8)[int(np.argmin(errors))])

@model("collected")
def Collected(self, samples, xy, table):
    from histosge.section.section import Section
    sections = [item for item in gc.get_objects() if isinstance(item, Section) and item.has_counts]
    return Fitted(samples.genes, xy, table, values(max(sections, key=len), samples.genes))

KNOWN = {}

@model("earlier-seeds")
def EarlierSeeds(self, samples, xy, table):
    KNOWN.update({tuple(point): row for point, row in zip(xy, table)})
    return Fitted(samples.genes, xy, table, (np.array(list(KNOWN)), np.array(list(KNOWN.values()))))

@model("copy-of-the-data")
def CopyOfTheData(self, samples, xy, table):
    answers = np.load(PATH + "-copy.npz")
    columns = [list(answers["genes"]).index(gene) for gene in samples.genes]
    return Fitted(samples.genes, xy, table, (answers["xy"], answers["values"][:, columns]))

@model("unrepeatable")
def Unrepeatable(self, samples, xy, table):
    return Fitted(samples.genes, xy, table, noise=np.random.default_rng().normal(0, 0.1))

@model("failing")
def Failing(self, samples, xy, table):
    raise RuntimeError("no such luck")

@model("refusing")
def Refusing(self, samples, xy, table):
    from histosge.errors import UsageError
    raise UsageError("`spots` must be 1000 or more.")

@model("patches", Needs(patch_px=8))
def OfPatches(self, samples, xy, table):
    pixels = samples.inputs.patches[np.arange(len(samples))]
    assert pixels.shape[1:] == (8, 8, 3) and not hasattr(samples.inputs.patches, "slide")
    return Fitted(samples.genes, xy, table, noise=float(pixels.mean()) / 1e6)

MODELS = (Honest, Stored, Hidden, HonestInSmall, Variable, KnownPath, PathIfOpen, StoppedEarly, Collected, EarlierSeeds,
          CopyOfTheData, Unrepeatable, Failing, Refusing, OfPatches)

def encoder(name, encode):
    card = EncoderCard(name=name, dim=3, patches=(PatchSize(55.0, 8),), mean=None, std=None, licence="BSD-3-Clause",
                       gated=False, source=None, revision=None, citation="", summary="A test.")
    kind = dataclass(frozen=True)(type("Encoder", (), {
        "__annotations__": {"card": EncoderCard, "fingerprint": str}, "card": card, "fingerprint": name,
        "encode": lambda self, patches: encode(patches[0])}))
    return EncoderEntry(card, lambda setup: kind())

def brightness(patches):
    return patches.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)

def expression_of(patches):
    section = histosge.read(PATH)
    points = Patches(section.slide, section.spots.xy, 55.0, 8)[:].reshape(len(section), -1).astype(float)
    rows = cKDTree(points).query(patches.reshape(len(patches), -1).astype(float))[1]
    return values(section, section.genes[:3])[1][rows]

ENCODERS = (encoder("brightness", brightness), encoder("expression", expression_of))
'''
# runs one model or encoder after another, as `evaluate` does for every seed, and prints how each of them ended
RUN = """
import json, sys, warnings
import numpy as np
import histosge as hs
from histosge.errors import HistosgeError
from histosge.evaluation.plan import Plan
from histosge.evaluation.trial import run_trial
from histosge.section.expression import log_cp10k

section, names = hs.read(sys.argv[1]), json.loads(sys.argv[2])
values = log_cp10k(section.counts).toarray().astype(np.float32)
np.savez(sys.argv[1] + "-copy.npz", xy=section.spots.xy, values=values, genes=section.genes)
ended = {}
for name in names:
    model, _, encoder = name.partition(" ")
    # the second seed is given spots that the first one was asked for
    seeds = (0, 1) if name == "earlier-seeds" else (0,)
    plan = Plan((section,), (model,), seeds=seeds, genes="all", encoders=(encoder or "texture",), baselines=False)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for trial in plan.trials():
                run_trial(plan, trial)
        ended[name] = ["".join(str(item.message) for item in caught), 0]
    except HistosgeError as error:
        ended[name] = [str(error), error.exit_code]
print(json.dumps(ended))
"""
DETECTED = {
    "stored": "depends on something besides its samples",
    "hidden": "depends on something besides its samples",
    "honest-in-small": "depends on something besides its samples",
    "variable": "KeyError: 'CHEAT_SECTION'",
    "path": "a file of the section that is scored",
    "path-if-open": "a file of the section that is scored",
    "stopped-early": "KeyError: 'CHEAT_SECTION'",
    "collected": "fails in a process that is given the training spots and nothing else",
    "earlier-seeds": "results of earlier fits",
    "copy-of-the-data": "scores above the noise ceiling",
    "ridge expression": "a file of the section that is scored",
}
ALLOWED = ("honest", "patches", "ridge brightness", "unrepeatable")
FAILING = {"failing": ("RuntimeError: no such luck", 3), "refusing": ("`spots` must be 1000 or more.", 2)}


@cache
def ended() -> dict[str, tuple[str, int]]:
    """Install the package of cheats in a folder, run everything in it, and return how each of them ended."""
    folder = Path(mkdtemp(prefix="histosge-test-"))
    section = folder / "data" / "section"
    write_spaceranger(synthetic(columns=12, rows=12, genes=30, seed=1).section, section)
    package = folder / "package"
    metadata = package / "cheats-0.1.dist-info"
    metadata.mkdir(parents=True)
    (package / "cheats.py").write_text(CHEATS.replace("SECTION", str(section), 1))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cheats\nVersion: 0.1\n")
    points = "[histosge.models]\nall = cheats:MODELS\n[histosge.encoders]\nall = cheats:ENCODERS\n"
    (metadata / "entry_points.txt").write_text(points)
    source = Path(histosge.__file__).parents[1]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(package), str(source)]),
        "CHEAT_SECTION": str(section),
    }
    names = json.dumps([*ALLOWED, *FAILING, *DETECTED])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, str(section), names],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: (text, code) for name, (text, code) in json.loads(done.stdout).items()}


@pytest.mark.parametrize("name", DETECTED)
def test_a_cheat_is_a_leak(name: str) -> None:
    """Whatever way a model or an encoder comes to the test spots, the evaluation ends with exit code 3."""
    text, code = ended()[name]
    assert code == 3, text
    assert text.startswith("Leak: ")
    assert DETECTED[name] in text


@pytest.mark.parametrize("name", ALLOWED)
def test_an_honest_plug_in_is_no_leak(name: str) -> None:
    """Models and encoders that read what they are given are scored; one that cannot be repeated is named."""
    text, code = ended()[name]
    assert code == 0, text
    assert ("differ, so that what it reads could not be checked" in text) == (name == "unrepeatable")


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_plug_in_is_a_sentence(name: str) -> None:
    """An error of a plug-in keeps its reason, and a refusal keeps its sentence and exit code."""
    text, code = ended()[name]
    assert FAILING[name][0] in text
    assert code == FAILING[name][1]
