"""Fixtures shared by all tests; switches on run-time checks of array shapes and types for the package."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy  # noqa: F401  (loads the library that is held to one thread below)
import pytest
import scipy.linalg  # noqa: F401
from hypothesis import settings
from threadpoolctl import threadpool_limits

import typechecker

# modules and tests are half a million objects that live to the end: searched for cycles at every 700 new ones, they
# take a fifth of the time of imports
gc.set_threshold(20_000)

# before the first import of the package: every annotated array is checked while the tests run
jaxtyping.jaxtyped = typechecker.decorator
_HOOK = jaxtyping.install_import_hook("histosge", "typechecker.check")

# workers share the cores: threads of one would wait for those of the other. PyTorch reads the variable when imported
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    threadpool_limits(1)

# a busy machine is no reason to fail
settings.register_profile("histosge", deadline=None)
settings.load_profile("histosge")

_REAL = Path(os.environ.get("HISTOSGE_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of searches for cycles."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real sections; tests that use it are skipped, and counted, where it is absent."""
    if not (_REAL / "README.md").exists():
        pytest.skip(f"real sections are not at {_REAL}; set HISTOSGE_REAL_DATA")
    return _REAL


@pytest.fixture(scope="session", autouse=True)
def _images_drawn_once() -> Iterator[None]:
    """Keep the images of synthetic tissues: hundreds of tests ask for the same few, and one takes up to a second."""
    # the package has a function of the module's name
    module = importlib.import_module("histosge.datasets.synthetic")
    draw, drawn = module._image, {}

    def kept(tissue: Any, size_um: Any, outline: Any, rng: Any) -> Any:
        # the generator's state holds the seed and every draw before: with the size it determines the image
        key = (str(rng.bit_generator.state), size_um.tobytes())
        if key not in drawn:
            drawn[key] = draw(tissue, size_um, outline, rng)
            drawn[key].flags.writeable = False
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_image", kept)
        yield
