"""What holds for every public function and class: type hints, an example of ``run``, and plots that can be placed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

import histosge as hs

MODULES = {"histosge": hs, "histosge.pp": hs.pp, "histosge.tl": hs.tl, "histosge.pl": hs.pl}
SECTION = hs.synthetic(columns=6, rows=6, genes=8).section


@cache
def predicted() -> hs.Prediction:
    fit = hs.fit(SECTION, hs.Recipe("kriging", genes="all"))
    return hs.predict(fit, SECTION, hs.upsampled(SECTION, 2))


# how each plot is called for one map; a plot that is added needs a line here
ONE_MAP: dict[str, Callable[..., Any]] = {
    "domains": lambda **ax: hs.pl.domains(SECTION, {"columns": SECTION.spots.xy[:, 0] > 300}, **ax),
    "enhance": lambda **ax: hs.pl.enhance(SECTION, [("×2", predicted())], "ZONE1", **ax),
    "overview": lambda **ax: hs.pl.overview(SECTION, **ax),
}
# writes a page, and draws nothing
PAGES = {"report"}


def public() -> list[tuple[str, Callable[..., Any]]]:
    """Return every public function, and every public method and constructor of public classes, by its path."""
    everything: list[tuple[str, Callable[..., Any]]] = []
    for module, content in MODULES.items():
        for name in dir(content):
            thing = getattr(content, name)
            if inspect.isfunction(thing):
                everything.append((f"{module}.{name}", thing))
            elif inspect.isclass(thing) and not issubclass(thing, Exception):
                members = [
                    (key, getattr(value, "__func__", None) or getattr(value, "fget", None) or value)
                    for key, value in vars(thing).items()
                    # the constructor of a protocol is made by Python and never called
                    if not key.startswith("_")
                    or (key == "__init__" and not getattr(thing, "_is_protocol", False))
                ]
                everything += [
                    (f"{module}.{name}.{key}", value) for key, value in members if inspect.isfunction(value)
                ]
    return everything


def test_type_hints_are_complete() -> None:
    """Every argument and every result of the public names has a type."""
    everything = public()
    assert len(everything) > 50
    lacking = []
    for path, function in everything:
        signature = inspect.signature(function)
        lacking += [
            f"{path}({parameter.name})"
            for parameter in signature.parameters.values()
            if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")
        ]
        if signature.return_annotation is signature.empty and not path.endswith("__init__"):
            lacking.append(f"{path} -> ?")
    assert not lacking
    assert (Path(inspect.getfile(hs)).parent / "py.typed").is_file()


def test_the_help_of_run_shows_an_example() -> None:
    """``help(hs.run)`` has an example that begins with the import; the doctests run it."""
    shown = inspect.getdoc(hs.run) or ""
    assert shown.count("Examples\n--------") == 1
    example = shown.split("Examples\n--------")[1]
    assert ">>> import histosge as hs" in example
    assert "hs.run(" in example


@pytest.mark.parametrize("name", sorted(set(dir(hs.pl)) - PAGES))
def test_a_plot_returns_its_figure_takes_axes_and_changes_no_settings(name: str) -> None:
    """Each plot makes a figure, or draws into axes; Matplotlib's settings and open figures stay as they were."""
    assert inspect.signature(getattr(hs.pl, name)).parameters["ax"].default is None
    settings, shown = dict(mpl.rcParams), plt.get_fignums()
    own = ONE_MAP[name]()
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert ONE_MAP[name](ax=right) is figure
    assert isinstance(own, Figure)
    assert own.axes
    assert not left.has_data()
    assert right.has_data() or right.collections
    assert dict(mpl.rcParams) == settings
    assert plt.get_fignums() == shown
