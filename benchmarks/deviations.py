"""What each deviation between two presets of HisToSGE is worth: one is switched at a time, and all at once.

    python benchmarks/deviations.py benchmarks/deviations.toml --out runs/deviations

The plan is one of ``histosge benchmark`` with a further list, ``deviations``: a model with the preset to start from,
the preset ``towards`` which its differences are switched, and options that all fits share, such as the number of
epochs. Scores go into the folder as for any benchmark; ``deviations.md`` and ``deviations.json`` are added.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from histosge.errors import UsageError
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.plan import Plan
from histosge.evaluation.plan_file import parse_plan
from histosge.evaluation.result import EvaluationResult
from histosge.evaluation.tables import markdown_table
from histosge.models import MODELS, build_model, presets
from histosge.workflow.recipe import Recipe

COLUMNS = ("switched", "PCC test", "gain", "PCC pooled", "gain (pooled)", "undefined")
EXPLANATION = (
    "Each line is the preset named above its table with one difference switched. Gains are against that preset. "
    "Gains of single switches do not add up."
)


@dataclass(frozen=True)
class Switch:
    """A preset, and another one towards which its differences are switched, one at a time.

    Parameters
    ----------
    model
        A model with ``presets``, and with ``deviations``: names of differences and the options each consists of.
    origin, towards
        Two of its presets.
    options
        Options that all fits share whatever the presets say, such as the number of epochs.

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
        available = presets(self.model)
        for name in (self.origin, self.towards):
            if name not in available:
                raise UsageError(
                    f"Model '{self.model}' has the presets {', '.join(available)}; got '{name}'."
                )

    @classmethod
    def parse(cls, item: Any) -> Switch:
        """Read a table of ``model`` with its preset, ``towards``, and the shared options."""
        if not isinstance(item, Mapping) or not {"model", "towards"} <= set(item):
            raise UsageError(
                f"A deviation is a table of `model = 'name:preset'` and `towards`; got {item!r}."
            )
        options = {name: value for name, value in item.items() if name not in ("model", "towards")}
        model, _, origin = str(item["model"]).partition(":")
        return cls(model, origin, str(item["towards"]), options)

    @property
    def recipes(self) -> dict[str, Recipe]:
        """What is fitted, by what is switched; differences that the two presets do not have are left out."""
        before = build_model(self.model, self.origin, **self.options)
        after = build_model(self.model, self.towards, **self.options)
        recipes = {"nothing": Recipe(self.model, self.origin, self.options)}
        for name, parts in MODELS[self.model].deviations.items():
            changed = {part: getattr(after, part) for part in parts if part not in self.options}
            if any(getattr(before, part) != value for part, value in changed.items()):
                recipes[name] = Recipe(self.model, self.origin, {**self.options, **changed})
        return recipes | {"everything": Recipe(self.model, self.towards, self.options)}

    @property
    def title(self) -> str:
        """The two presets and the shared options."""
        shared = ", ".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.model} {self.origin} → {self.towards}" + (f" ({shared})" if shared else "")


def read(path: Path) -> tuple[Plan, tuple[Switch, ...]]:
    """Return the plan with all recipes of its switches, and the switches."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    switches = tuple(map(Switch.parse, content.pop("deviations", [])))
    recipes = [recipe for switch in switches for recipe in switch.recipes.values()]
    # a plan without models and baselines is refused: the switches are its models
    plan = parse_plan({**content, "baselines": True}, path.parent)
    models, baselines = (*plan.models, *recipes), content.get("baselines", True)
    return replace(plan, models=models, baselines=baselines), switches


def gains(switch: Switch, result: EvaluationResult) -> Iterator[dict[str, Any]]:
    """Yield one record per section, split, encoder and difference: scores, and gains over the first preset."""
    for section, split, encoder in dict.fromkeys(
        (row.section, row.split, row.encoder) for row in result.rows
    ):
        labels = {"section": section, "split": split, "encoder": encoder}
        first: dict[str, float] | None = None
        for name, recipe in switch.recipes.items():
            rows = result.select(**labels, model=recipe.model, preset=recipe.variant)
            sets = {row.set: row for row in rows}
            if "test" not in sets:
                continue
            scores = {"test": sets["test"]["pcc"], "pooled": sets["pooled"]["pcc_defined"]}
            first = first or scores
            gained = {
                f"{word}_gain": None if value is None else value - first[word]
                for word, value in scores.items()
            }
            undefined = sets["test"]["pcc_undefined"]
            yield {
                "title": switch.title,
                **labels,
                "switched": name,
                **scores,
                **gained,
                "undefined": undefined,
            }


def table(records: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the cells of one table."""
    return [
        (
            str(record["switched"]),
            f"{record['test']:.4f}",
            _signed(record["test_gain"]),
            "–" if record["pooled"] is None else f"{record['pooled']:.4f}",
            _signed(record["pooled_gain"]),
            f"{100 * record['undefined']:.0f} %",
        )
        for record in records
    ]


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    plan, switches = read(arguments.plan)
    result = benchmark(plan, arguments.out, jobs=arguments.jobs)
    records = [record for switch in switches for record in gains(switch, result)]
    pages: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        words = [record["section"], record["split"], *filter(None, [record["encoder"]])]
        pages.setdefault(f"{record['title']}: {', '.join(words)}", []).append(record)
    lines = [line for title, page in pages.items() for line in markdown_table(title, COLUMNS, table(page))]
    text = "\n".join([*lines, f"* {EXPLANATION}", ""])
    (arguments.out / "deviations.md").write_text(text, encoding="utf-8")
    (arguments.out / "deviations.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
