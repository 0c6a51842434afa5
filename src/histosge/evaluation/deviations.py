"""What each difference between two readings of one model is worth: one is switched at a time, and all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from histosge.errors import UsageError
from histosge.models import MODELS, build_model, presets

from .entry import Entry

__all__ = ["COLUMNS", "NOTE", "Switch", "rows", "worth"]

COLUMNS = ("switched", "PCC test", "gain", "PCC pooled", "gain (pooled)", "undefined")
NOTE = (
    "Each line is the preset named above its table with one difference switched; gains are against that preset. "
    "Gains of single switches do not add up."
)
_AS_IT_IS, _EVERYTHING = "nothing", "everything"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Switch:
    """A preset, and another one towards which its differences are switched, one at a time.

    Parameters
    ----------
    model
        With ``presets``, and with ``deviations``: names of differences and the fields each consists of.
    origin, towards
        Two of its presets.
    options
        Fields that all fits share whatever the presets say, such as the number of epochs.

    Raises
    ------
    UsageError
        For a model without these, or unknown presets.
    """

    model: str
    origin: str
    towards: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not hasattr(MODELS[self.model], "deviations"):
            raise UsageError(f"Model '{self.model}' names no deviations. Choose histosge.")
        known = presets(self.model)
        for name in (self.origin, self.towards):
            if name not in known:
                raise UsageError(f"Model '{self.model}' has the presets {', '.join(known)}; got '{name}'.")

    @classmethod
    def from_words(cls, item: Any) -> Switch:
        """Read a plan's table: ``model`` with its preset, ``towards``, and the options shared.

        Raises
        ------
        UsageError
            For anything else.
        """
        if not isinstance(item, Mapping) or not {"model", "towards"} <= set(item):
            raise UsageError(
                f"A deviation in a plan is a table of `model = 'name:preset'` and `towards`; got {item!r}."
            )
        options = {name: value for name, value in item.items() if name not in ("model", "towards")}
        model, _, origin = str(item["model"]).partition(":")
        return cls(model, origin, str(item["towards"]), options)

    @property
    def entries(self) -> dict[str, Entry]:
        """What is fitted, by what is switched; differences that the two presets do not have are left out."""
        before = build_model(self.model, self.origin, **self.options)
        after = build_model(self.model, self.towards, **self.options)
        found = {_AS_IT_IS: Entry(self.model, self.origin, self.options)}
        for name, parts in MODELS[self.model].deviations.items():
            changed = {part: getattr(after, part) for part in parts if part not in self.options}
            if any(getattr(before, part) != value for part, value in changed.items()):
                found[name] = Entry(self.model, self.origin, {**self.options, **changed})
        return found | {_EVERYTHING: Entry(self.model, self.towards, self.options)}

    @property
    def title(self) -> str:
        """From where to where, in words."""
        shared = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.model} {self.origin} → {self.towards}" + (f" ({shared})" if shared else "")


def worth(switches: Iterable[Switch], records: Iterable[Row]) -> list[dict[str, Any]]:
    """Return one record per switch, section, split, encoder and difference: scores and gains.

    Parameters
    ----------
    switches
        What was planned.
    records
        What :func:`histosge.evaluation.scores.summary` returns.
    """
    by: dict[tuple[str, str, str], dict[tuple[str, str, str], Row]] = {}
    for record in records:
        where = (record["section"], record["split"], record["encoder"])
        by.setdefault(where, {})[record["model"], record["preset"], record["set"]] = record
    found = []
    for switch in switches:
        for where, known in by.items():
            found += _of_section(
                switch, dict(zip(("section", "split", "encoder"), where, strict=True)), known
            )
    return found


def rows(records: Iterable[Row]) -> list[tuple[str, ...]]:
    """Return the cells of one table."""
    return [
        (
            str(record["switched"]),
            f"{record['test']:.4f}",
            _signed(record["test_gain"]),
            _plain(record["pooled"]),
            _signed(record["pooled_gain"]),
            f"{100 * record['undefined']:.0f} %",
        )
        for record in records
    ]


def _of_section(
    switch: Switch, labels: Mapping[str, str], known: Mapping[tuple[str, str, str], Row]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, entry in switch.entries.items():
        test = known.get((entry.model, entry.variant, "test"))
        if test is None:
            continue
        pooled = known.get((entry.model, entry.variant, "pooled"), {}).get("pcc_defined")
        first = found[0] if found else {"test": test["pcc"], "pooled": pooled}
        found.append(
            {
                "title": switch.title,
                **labels,
                "switched": name,
                "changed": _changed(entry, switch),
                "test": test["pcc"],
                "test_gain": test["pcc"] - first["test"],
                "pooled": pooled,
                "pooled_gain": None
                if pooled is None or first["pooled"] is None
                else pooled - first["pooled"],
                "undefined": test["pcc_undefined"],
            }
        )
    return found


def _changed(entry: Entry, switch: Switch) -> dict[str, Any]:
    return {name: value for name, value in entry.options.items() if name not in switch.options}


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"
