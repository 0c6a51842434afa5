"""Fixtures that several files of unit tests share."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from histosge.models.cokriging.predictor import CokrigingPredictor


@pytest.fixture(scope="session")
def written_outs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Space Ranger folder that tests do not change."""
    from folders import TRUTH

    from histosge.datasets.synthetic import write_spaceranger

    return write_spaceranger(TRUTH, tmp_path_factory.mktemp("written") / "outs")


@pytest.fixture
def outs(written_outs: Path, tmp_path: Path) -> Path:
    """A Space Ranger folder of the test's own."""
    return Path(copytree(written_outs, tmp_path / "outs"))


@pytest.fixture
def st(tmp_path: Path) -> Path:
    """A legacy ST folder."""
    from histosge.datasets import synthetic
    from histosge.datasets.synthetic import write_legacy_st

    return write_legacy_st(synthetic(columns=8, rows=8, genes=20, lattice="square").section, tmp_path / "st")


@pytest.fixture(scope="session")
def fitted() -> CokrigingPredictor:
    """A cokriging fitted to half of the spots."""
    from cokriging_samples import SAMPLES, TRAINING

    from histosge.models.cokriging.model import Cokriging

    return Cokriging().fit(SAMPLES.take(TRAINING), seed=4)
