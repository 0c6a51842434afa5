"""What moving and renaming must leave as it is: predictions, intervals, scores and what a run writes.

Where a change is meant, write the new ones with ``HISTOSGE_WRITE_GOLDEN=1 pytest tests/golden -m ''`` and look at the
difference. ``HISTOSGE_BITS=FILE`` also writes a hash of every array: on one machine they are to be the same to the bit.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import measure_house
import pytest

import histosge as hs
from histosge.datasets.synthetic import write_spaceranger

GOLDEN = Path(__file__).with_name("house.json")
SECTIONS = ("crc16", "her2st/C2", "mob/MOB1", "dlpfc/151673")


def synthetic_section(folder: Path) -> Path:
    """Write the synthetic section."""
    return write_spaceranger(hs.synthetic(columns=12, rows=12, genes=48).section, folder / "outs")


def measured_synthetic(folder: Path) -> dict[str, Any]:
    """Measure the synthetic section, but for networks."""
    path = synthetic_section(folder)
    section = hs.read(path)
    return {
        "predictions": measure_house.of_predictions(section, "synthetic"),
        "run": measure_house.of_run(section, "synthetic", folder / "run"),
        "scores": measure_house.of_scores(path, "synthetic", folder / "scores"),
    }


def measured_real(path: Path, name: str, folder: Path) -> dict[str, Any]:
    """Measure a real section."""
    section = hs.read(path)
    found = {
        "predictions": measure_house.of_predictions(section, name),
        "run": measure_house.of_run(section, name, folder / "run"),
        "scores": measure_house.of_scores(path, name, folder / "scores"),
    }
    if name == "her2st/C2":
        other = (hs.read(path.parent / "C4"),)
        found["run_with_C4"] = measure_house.of_run(section, f"{name}+C4", folder / "with", auxiliary=other)
    return found


def same(now: Any, then: Any, where: str) -> None:
    """Compare two trees of numbers; numbers to 1 in 1000, which other processors keep.

    Networks amplify rounding over epochs: they are compared to 0.004. Of neighbours on a lattice that are equally far,
    rounding decides which is the nearest, and which the sixth: scores of these models are compared to 1 in 50.
    """
    ties = any(f" > {name} / " in where for name in ("nearest", "idw"))
    network = any(f" {name} >" in f"{where} >" for name in measure_house.SMALL)
    if isinstance(then, dict):
        assert now.keys() == then.keys(), where
        for key, value in then.items():
            same(now[key], value, f"{where} > {key}")
    elif isinstance(then, list) and then and isinstance(then[0], float):
        assert now == pytest.approx(
            then, rel=2e-2 if ties else 1e-3, abs=1e-2 if ties else 4e-3 if network else 2e-3
        ), where
    elif isinstance(then, float):
        assert now == pytest.approx(then, rel=1e-3, abs=1e-3), where
    else:
        assert now == then, where


def compare(name: str, now: dict[str, Any]) -> None:
    """Compare with the golden file, or write it."""
    held = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    now = json.loads(json.dumps(now))
    if os.environ.get("HISTOSGE_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(held | {name: now}, indent=1, sort_keys=True) + "\n")
    if bits := os.environ.get("HISTOSGE_BITS"):
        Path(bits).with_suffix(f".{name.replace('/', '_')}.json").write_text(
            json.dumps({k: v for k, v in measure_house.ARRAYS.items() if k.startswith(name)}, indent=1)
        )
    assert name in json.loads(GOLDEN.read_text()), f"{name} has no golden numbers yet"
    if not os.environ.get("HISTOSGE_WRITE_GOLDEN"):
        same(now, held[name], name)


def test_the_synthetic_section_gives_the_same_numbers(tmp_path: Path) -> None:
    """Predictions of the simple models, intervals, scores and a run's files on the synthetic section are the same."""
    compare("synthetic", measured_synthetic(tmp_path))


# each trains with two threads, which wait for each other where a second worker has the other core
@pytest.mark.slow
def test_networks_give_the_same_numbers(tmp_path: Path) -> None:
    """Predictions of every published network on the synthetic section have not changed."""
    section = hs.read(synthetic_section(tmp_path))
    compare("synthetic networks", {"predictions": measure_house.of_networks(section, "synthetic")})


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("name", SECTIONS)
def test_real_sections_give_the_same_numbers(real_data: Path, tmp_path: Path, name: str) -> None:
    """Predictions of the simple models, intervals, scores and a run's files on real sections have not changed."""
    compare(name, measured_real(real_data / name, name, tmp_path))
