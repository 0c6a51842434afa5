"""The public names of the package: what ``import histosge as hs`` offers."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys

import pytest

import histosge as hs

# models and encoders inherit from these, and their type hints are resolved in the module that defines them
PROTOCOLS = ("Encoder", "Model", "Predictor")
PUBLIC = [
    name
    for name in hs.__all__
    if name not in PROTOCOLS and (inspect.isclass(getattr(hs, name)) or inspect.isfunction(getattr(hs, name)))
]


def test_dir_lists_the_public_names() -> None:
    """``dir(hs)`` is ``__all__``; the scanpy-shaped modules list their tools and nothing they import."""
    assert dir(hs) == sorted(hs.__all__)
    assert dir(hs.pp) == ["features"]
    assert dir(hs.tl) == ["compare", "detect", "domains", "enhance", "measured_spots", "spatially_variable"]
    assert dir(hs.pl) == ["domains", "enhance", "overview", "report"]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_objects_name_the_package_as_their_module(name: str) -> None:
    """Tracebacks and help show ``histosge.NAME``, every object is documented, and pickles give the same object."""
    public = getattr(hs, name)
    assert public.__module__ == "histosge"
    assert public.__doc__
    assert pickle.loads(pickle.dumps(public)) is public


def test_values_survive_a_pickle() -> None:
    """A recipe and a target come back equal in a process that has imported nothing yet."""
    recipe, target = hs.Recipe("ridge", genes="all"), hs.Target(upsample=2)
    assert pickle.loads(pickle.dumps((recipe, target))) == (recipe, target)
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).model)"
    content = pickle.dumps(recipe)
    result = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=True)
    assert result.stdout.decode().strip() == "ridge"


def test_errors_have_a_common_parent() -> None:
    """Every error of the package can be caught as ``HistosgeError``, under its public name."""
    for name in ("UsageError", "DataError", "OutputError", "WeightsError"):
        assert issubclass(getattr(hs, name), hs.HistosgeError)
    with pytest.raises(hs.UsageError) as caught:
        hs.Recipe(patch_um=-1)
    assert repr(type(caught.value)) == "<class 'histosge.UsageError'>"


def test_the_version_is_that_of_the_installation() -> None:
    """``hs.__version__`` is text that begins with a number."""
    assert hs.__version__[0].isdigit()


def test_other_names_are_refused() -> None:
    """A misspelt name is an AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="has no attribute 'redd'"):
        hs.redd  # noqa: B018
