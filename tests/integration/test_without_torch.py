"""The default job needs no PyTorch; what needs it says so in one sentence with the command that installs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histosge as hs
from histosge.datasets.synthetic import write_spaceranger

# the extra ``deep``, and what only tests install
ABSENT = ("torch", "torchvision", "timm", "torch_geometric", "huggingface_hub", "scanpy", "transformers")
SENTENCE = "needs PyTorch, which is not installed. Run `pip install 'histosge[deep]'`."
# packages cannot be found, as where they are not installed
MAIN = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from histosge.cli import main
main()
"""


@pytest.fixture(scope="module")
def section(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Space Ranger folder."""
    tissue = hs.synthetic(columns=8, rows=8, genes=24).section
    return write_spaceranger(tissue, tmp_path_factory.mktemp("section") / "outs")


def histosge(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process without the packages."""
    environment = os.environ | {"PYTHONPATH": str(Path(hs.__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, words)], capture_output=True, text=True, env=environment
    )


def test_the_default_job_needs_no_torch(section: Path, tmp_path: Path) -> None:
    """``run`` and ``report`` with cokriging and texture write everything; so do ``doctor`` and ``list``."""
    done = histosge("run", section, "--out", tmp_path / "out", "--genes", "all", "--upsample", "2")
    assert done.returncode == 0, done.stderr
    for name in ("prediction.h5ad", "factors.h5ad", "run.json", "figures"):
        assert (tmp_path / "out" / name).exists()
    packages = json.loads((tmp_path / "out" / "run.json").read_text())["environment"]["packages"]
    assert None not in packages.values()
    assert histosge("report", tmp_path / "out").returncode == 0
    assert histosge("doctor", section).returncode == 0
    listed = histosge("list", "models")
    assert "stagate" in histosge("list", "domains").stdout
    assert listed.returncode == 0
    assert "histosge" in listed.stdout


@pytest.mark.parametrize(
    ("words", "subject"),
    [
        (("--model", "histosge"), "The model 'histosge'"),
        (("--model", "stnet"), "The model 'stnet'"),
        (("--encoder", "uni"), "The encoder 'uni'"),
        (("--encoder", "timm:resnet18"), "The encoder 'timm:resnet18'"),
        (("--device", "cuda"), "The device 'cuda'"),
    ],
)
def test_what_needs_torch_says_how_to_install_it(
    words: tuple[str, ...], subject: str, section: Path, tmp_path: Path
) -> None:
    """A network, a foundation encoder and a GPU end with exit code 2 and the command."""
    done = histosge("run", section, "--out", tmp_path / "out", *words)
    assert done.returncode == 2
    assert f"{subject} {SENTENCE}" in " ".join(done.stderr.split())


def test_domains_by_networks_say_how_to_install_them(section: Path, tmp_path: Path) -> None:
    """STAGATE and STMask end with exit code 2 and the command; k-means works."""
    out = tmp_path / "out"
    assert histosge("domains", section, "--method", "kmeans", "--clusters", "3", "--out", out).returncode == 0
    done = histosge("domains", section, "--method", "stagate", "--out", tmp_path / "other")
    assert done.returncode == 2
    assert f"The method 'stagate' {SENTENCE}" in " ".join(done.stderr.split())
