"""Adding an encoder, model, reader, writer, metric or method of finding domains is adding one file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histosge

# one file a kind: what stands in it, and where a file of this kind is dropped in the package itself
FILES = {
    "encoders": '''
"""Brightness of a patch."""
from dataclasses import dataclass

from histosge.encoders.base import EncoderCard, EncoderEntry, PatchSize

@dataclass(frozen=True)
class Brightness:
    card: EncoderCard = EncoderCard("NAME", dim=1, patches=(PatchSize(55.0, 8),))
    fingerprint: str = "brightness-1"

    def encode(self, patches):
        return patches[0].mean(axis=(1, 2, 3))[:, None]

ENTRIES = (EncoderEntry(Brightness().card, lambda setup: Brightness()),)
''',
    "models": '''
"""The largest value of each gene, everywhere."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from histosge.models.base import Model, ModelCard, Needs, Runtime

@dataclass(frozen=True)
class Largest(Model):
    card: ClassVar[ModelCard] = ModelCard("NAME", "The largest value.", "", uses_position=False)
    needs: ClassVar[Needs] = Needs(features=True)

    def fit(self, samples, *, seed=0, runtime=Runtime()):
        return Fitted(samples.genes, samples.expression.max(axis=0))

    def restore(self, genes, arrays, summary):
        return Fitted(genes, arrays["largest"])

@dataclass(frozen=True, eq=False)
class Fitted:
    genes: np.ndarray
    largest: np.ndarray

    def blocks(self, inputs):
        rows = np.arange(len(inputs))
        yield rows, np.tile(self.largest, (len(rows), 1)).astype(np.float32), None

    def arrays(self):
        return {"largest": self.largest}

    def summary(self):
        return {}

ENTRIES = (Largest,)
''',
    "readers": '''
"""A file that names the size of a synthetic section."""
import histosge as hs
from histosge.io.readers.base import Reader

def detect(path):
    return path.suffix == ".NAME"

def read(path, options):
    side = int(path.read_text())
    return hs.synthetic(columns=side, rows=side, genes=12).section

ENTRIES = (Reader("NAME", "The size of a synthetic section.", detect, read),)
''',
    "cell_sources": '''
"""A cell in the middle of a synthetic section."""
import numpy as np
from histosge.segmentation.cells import Cells
from histosge.segmentation.sources.base import CellSource

def detect(path):
    return path.suffix == ".NAME"

def read(path, options):
    return Cells(np.array(["a"]), np.array([[250.0, 250.0]]), source="NAME")

ENTRIES = (CellSource("NAME", "A cell.", detect, read, priority=1),)
''',
    "writers": '''
"""The number of locations."""
from histosge.io.writers.base import Writer

def write(path, section, prediction, options):
    path.write_text(str(len(prediction)))
    return path

ENTRIES = (Writer("NAME", "The number of locations.", "size.NAME", "file", True, write),)
''',
    "metrics": '''
"""Largest error of each gene."""
import numpy as np
from histosge.metrics.base import Metric, MetricCard

def largest_error(case):
    return np.abs(case.truth - case.prediction).max(axis=0)

ENTRIES = (Metric(MetricCard("NAME", "Largest error.", "lower", (0.0, np.inf)), largest_error),)
''',
    "domains": '''
"""Left half, right half."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from histosge.domains.base import DomainCard, Runtime

@dataclass(frozen=True)
class Halves:
    card: ClassVar[DomainCard] = DomainCard("NAME", "Left half, right half.", "", True)
    genes: str = "all"

    def assign(self, values, xy_um, *, pitch_um, clusters, seed=0, runtime=Runtime()):
        return (xy_um[:, 0] > np.median(xy_um[:, 0])).astype(int)

ENTRIES = (Halves,)
''',
}
FOLDERS = {
    "models": "models/baselines",
    "readers": "io/readers",
    "cell_sources": "segmentation/sources",
    "writers": "io/writers",
}
# uses each entry once, through public functions and the command line
USE = """
import json, sys
import numpy as np
import histosge as hs
from histosge.domains import build_method
from histosge.metrics import METRICS, Comparison
from histosge.workflow.outputs import Outputs

name, folder = sys.argv[1], sys.argv[2]
with open(f"{folder}/section.{name}", "w") as file:
    file.write("6")
section = hs.read(f"{folder}/section.{name}")
fitted = hs.fit(section, hs.Recipe(model=name, encoder=name, genes="all"))
prediction = hs.predict(fitted, section, hs.at_spots(section))
truth = np.zeros((4, 2))
score = METRICS[name].compute(Comparison(truth, truth + 3.0))
domains = build_method(name).assign(prediction.mean, section.spots.xy, pitch_um=100.0, clusters=2)
hs.run(
    section,
    hs.Recipe(model=name, encoder=name, genes="all"),
    target=hs.Target(upsample=2),
    out=f"{folder}/run",
    outputs=Outputs(also=(name,)),
)
print(json.dumps({
    "spots": len(section), "genes": prediction.mean.shape[1], "score": score.tolist(),
    "cells": hs.cells_of(section, f"{folder}/section.{name}").ids.tolist(),
    "domains": len(set(domains.tolist())), "file": open(f"{folder}/run/size.{name}").read(),
}))
"""


def python(code: str, *words: str, path: Path) -> str:
    """Run code in a new process that finds plug-ins in ``path``; return its output."""
    source = Path(histosge.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(path), str(source)])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *words], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def installed(folder: Path, objects: dict[str, str]) -> None:
    """Write what ``pip install`` leaves beside the code: a metadata folder with entry points."""
    metadata = folder / "mine-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0.1\n")
    points = [f"[histosge.{kind}]\n{entry}\n" for kind, entry in objects.items()]
    (metadata / "entry_points.txt").write_text("\n".join(points))


def used(preparation: str, name: str, folder: Path) -> None:
    """Check that an entry of each kind is listed and works."""
    listed = json.loads(
        python(
            f"{preparation}\nimport sys\nfrom histosge.cli import main\nsys.argv[1:] = ['list', '--json']\nmain()",
            path=folder,
        )
    )
    for kind in FILES:
        assert name in [row["name"] for row in listed[kind.replace("_", "-")]], kind
    result = json.loads(python(f"{preparation}\n{USE}", name, str(folder), path=folder).splitlines()[-1])
    assert result.pop("file").isdigit()
    assert result == {"spots": 36, "genes": 12, "score": [3.0, 3.0], "cells": ["a"], "domains": 2}


def test_a_package_with_entry_points_adds_one_file_a_kind(tmp_path: Path) -> None:
    """Each kind of entry of an installed package is in the registry, is listed, and works."""
    for kind, text in FILES.items():
        (tmp_path / f"mine_{kind}.py").write_text(text.replace("NAME", "mine"))
    installed(tmp_path, {kind: f"mine = mine_{kind}:ENTRIES" for kind in FILES})
    used("", "mine", tmp_path)


def test_a_file_in_the_package_is_an_entry(tmp_path: Path) -> None:
    """A file dropped into the folder of a registry is in it, is listed, and works; nothing else is edited."""
    lines = ["import importlib"]
    for kind, text in FILES.items():
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "dropped.py").write_text(text.replace("NAME", "dropped"))
        package = "histosge." + FOLDERS.get(kind, kind).replace("/", ".")
        lines.append(f"importlib.import_module({package!r}).__path__.append({str(folder)!r})")
    used("\n".join(lines), "dropped", tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import a_package_that_nobody_has\nENTRY = 1", "No module named 'a_package_that_nobody_has'"),
        ("ENTRY = 1", "expected a EncoderCard, got int"),
        ("from histosge.encoders.colour import ENTRIES as ENTRY", "the name 'colour' is taken"),
    ],
)
def test_a_broken_plug_in_is_named_in_one_sentence(text: str, reason: str, tmp_path: Path) -> None:
    """A plug-in that cannot be loaded leaves the others as they are; asked for, it is named with the reason."""
    (tmp_path / "broken.py").write_text(text)
    installed(tmp_path, {"encoders": "theirs = broken:ENTRY"})
    code = """
import warnings
from histosge.encoders import ENCODERS
from histosge.errors import UsageError
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print("colour" in ENCODERS, len(caught))
try:
    ENCODERS["theirs"]
except UsageError as error:
    print(error)
"""
    first, sentence = python(code, path=tmp_path).splitlines()
    assert first == "True 1"
    assert sentence.startswith("The encoder plug-in 'theirs' of 'mine' cannot be loaded")
    assert reason in sentence
    assert sentence.endswith("Update or uninstall that package.")


def test_listing_loads_no_network(tmp_path: Path) -> None:
    """Finding and listing all entries imports neither torch nor scanpy."""
    code = """
import sys
from histosge.cli.list import listing
for kind in ("encoders", "models", "readers", "writers", "metrics", "datasets", "domains"):
    listing(kind)
print(",".join(sorted({"torch", "timm", "scanpy", "anndata", "sklearn", "pandas"} & set(sys.modules))))
"""
    assert python(code, path=tmp_path).strip() == ""


def test_a_plug_in_answers_for_its_weights_and_its_citation(tmp_path: Path) -> None:
    """`list` and `doctor` show weights that a package keeps elsewhere; `cite` prints the BibTeX of its card."""
    (tmp_path / "theirs.py").write_text("""
from histosge.encoders.base import EncoderCard, EncoderEntry, PatchSize

def entry(name, **options):
    return EncoderEntry(EncoderCard(name, 1, (PatchSize(55.0, 8),), citation=CITED[name]), build=None, **options)

def fails():
    raise OSError("no disk")

CITED = {"here": "@misc{doe2026, title = {Brightness}}", "gone": "Doe et al., Brightness, 2026", "odd": ""}
ENTRIES = (
    entry("here", has_weights=lambda: True), entry("gone", has_weights=lambda: False), entry("odd", has_weights=fails)
)
""")
    installed(tmp_path, {"encoders": "theirs = theirs:ENTRIES"})
    code = """
import json, warnings
import histosge as hs
from histosge.cli.list import listing
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    rows = {row[0]: row[3] for row in listing("encoders")[1]}
    (ready,) = [check.finding for check in hs.doctor() if check.name == "encoders"]
print(json.dumps([rows, ready, [str(item.message) for item in caught]]))
print(json.dumps([hs.citation([name]) for name in ("here", "gone", "odd")]))
"""
    first, second = map(json.loads, python(code, path=tmp_path).splitlines())
    rows, ready, warned = first
    assert [rows[name] for name in ("here", "gone", "odd")] == ["on this computer", "absent", "absent"]
    assert "here" in ready.split(": ")[1].split(", ")
    assert "gone" not in ready
    assert any("'odd' cannot tell whether its weights are here" in text for text in warned)
    assert "@misc{doe2026, title = {Brightness}}" in second[0]
    assert "note = {Doe et al., Brightness, 2026}" in second[1]
    assert second[2].count("@") == 1
