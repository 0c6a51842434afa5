"""Make the page of all benchmarks, docs/_static/one-table.html, and the tables of docs/results/one-table.md.

    python benchmarks/one_table.py runs

`runs`, or several folders, hold the folders that the commands of `BENCHMARKS` write, by name. Rows of benchmarks and
fits that are not there are those of the page as it is: docs/_static/one-table.parquet. Of a plan that has not finished,
the fits that are done count. Nothing is fitted: a minute.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from histosge.errors import HistosgeError
from histosge.evaluation.baselines import REFERENCE
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.plan import AUXILIARY_SUFFIX, WHOLE_SECTION
from histosge.evaluation.plan_file import read_plan
from histosge.evaluation.summary.cell import Cell
from histosge.evaluation.summary.read_folder import read_folder
from histosge.evaluation.summary.section_rows import system_name
from histosge.evaluation.summary.summarise import Summary, summarise
from histosge.evaluation.trial import is_done, trial_key
from histosge.workflow.compute import Compute

ROOT = Path(__file__).parents[1]
PAGE, STATIC = ROOT / "docs/results/one-table.md", ROOT / "docs/_static"

_PLANS = (
    *("three_tissues", "full_two", "full_more", "full_small", "full_large", "imagenet", "papers_table"),
    *("rivals_seeds", "rivals_seeds_slow", "rivals_windows", "rivals_sublattice", "rivals_sections"),
)
_DATA = "../shared/data"
_EVALUATED = {
    "rivals_half_c2": f"{_DATA}/her2st/C2 --seeds 1 --models cokriging,bleep,triplex,istar,tesla,tesla:published",
    "triplex_mob1": f"{_DATA}/mob/MOB1 --seeds 1 --models cokriging,ridge,triplex",
    **{
        f"pub_{name.replace(':', '_')}": f"{_DATA}/her2st/C2 --seeds 1 --models cokriging,ridge,{name}"
        for name in ("triplex:published", "istar:spot", "istar:published")
    },
    **{
        f"fine_{name.partition(':')[0]}": (
            f"--truth {_DATA}/xenium_breast_rep1 --seeds 1 --widths-um 50 --models cokriging,ridge,kriging,depth,{name}"
        )
        for name in ("tesla", "bayesspace", "istar", "bleep", "mclstexp", "stentrans:doubled")
    },
}
#: the folders, in the order in which they count, and the commands that write them
BENCHMARKS = {
    **{name: f"histosge benchmark benchmarks/{name}.toml" for name in _PLANS},
    **{name: f"histosge evaluate {words}" for name, words in _EVALUATED.items()},
}
# the one whose own table stands on the page
_TISSUES = "three_tissues"
# what stands beside every system, and cokriging's own forms
_OWN = (
    "cokriging",
    "ridge",
    "pca-ridge",
    "boosting",
    "kriging",
    "idw",
    "nearest",
    "depth",
    "mean",
    "memorisation",
)
_TRAINING = ("epochs", "initialisation", "encoder", "windows_um")
_EXCERPT = ("system", "r", "difference", "ahead", "gain", "given_depth", "of_ceiling", "skill", "coverage")
_HOW = {
    "epochs": "epochs (kept)",
    "initialisation": "initialisation",
    "encoder": "encoder",
    "windows_um": "windows, µm",
}


def finished(parents: Sequence[Path], out: Path) -> dict[str, list[Path]]:
    """Return the folders that can be summarised, by name.

    ``out`` receives the fits that are done of a plan that has not finished.
    """
    known: dict[str, list[Path]] = {}
    for name in BENCHMARKS:
        folders = [parent / name for parent in parents if (parent / name).is_dir()]
        if not folders:
            continue
        try:
            if not getattr(read_folder(folders[0]), "message", ""):
                known[name] = folders[:1]
                continue
        except HistosgeError:
            pass
        if parts := finished_fits(name, folders[0], out):
            known[name] = parts
    return known


def missing_rows(name: str, frame: pd.DataFrame) -> str:
    """Return a sentence that names the rows of a plan that no benchmark has; of no plan, or none, an empty one.

    Baselines do not count: where they cannot predict, a plan leaves them out.
    """
    path = ROOT / "benchmarks" / f"{name}.toml"
    if not path.is_file():
        return ""
    plan, labels = replace(read_plan(path), baselines=False), ["section", "split", "system", "encoder"]
    rows = frame[(frame["level"] == "section") & (frame["seeds"] >= len(plan.seeds))]
    known = set(rows[labels].itertuples(index=False, name=None))
    missing: dict[str, dict[str, None]] = {}
    for trial in plan.trials():
        # a plan has it besides its models
        if trial.recipe.model == REFERENCE.model:
            continue
        section, system = (
            plan.sections[trial.section].label,
            system_name(trial.recipe.model, trial.recipe.variant),
        )
        if (section, trial.split, system, trial.encoder) not in known:
            where = section if len(plan.split_names) == 1 else f"{section} ({trial.split})"
            missing.setdefault(system, {})[where] = None
    groups: dict[str, list[str]] = {}
    for system, of in missing.items():
        groups.setdefault(", ".join(of), []).append(system)
    parts = [f"{', '.join(systems)} on {of}" for of, systems in groups.items()]
    return f"{name} has no row yet of {'; of '.join(parts)}." if parts else ""


def finished_fits(name: str, folder: Path, out: Path) -> list[Path]:
    """Return folders of the fits of a plan that are done, one for each section."""
    path = ROOT / "benchmarks" / f"{name}.toml"
    if not path.is_file():
        return []
    plan = read_plan(path)
    # a fit to other sections needs them in the plan
    needs_all = any(split in WHOLE_SECTION or split.endswith(AUXILIARY_SUFFIX) for split in plan.split_names)
    keys: dict[int, dict[tuple[str, str], list[str]]] = {}
    for trial in plan.trials():
        systems = keys.setdefault(0 if needs_all else trial.section, {})
        system = (trial.recipe.model, trial.recipe.variant)
        systems.setdefault(system, []).append(trial_key(plan, trial, Compute().setup))
    parts = []
    for section, systems in keys.items():
        done = {
            system for system, of in systems.items() if all(is_done(folder / "trials" / key) for key in of)
        }
        if not {("kriging", ""), ("cokriging", "")} <= done:
            continue
        part = out / str(section) / name
        for key in (key for system in done for key in systems[system]):
            shutil.copytree(folder / "trials" / key, part / "trials" / key)
        models = [recipe for recipe in plan.recipes if (recipe.model, recipe.variant) in done]
        sections = plan.sections if needs_all else (plan.sections[section],)
        benchmark(replace(plan, sections=sections, models=models, baselines=False), part)
        parts.append(part)
    return parts


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def rows_of(summary: Summary, name: str) -> list[dict[str, Cell]]:
    """Return the rows of one of the tables of a summary; none where it has no such table."""
    return [dict(row) for table in summary.tables if table.name == name for row in table.rows]


def model_of(row: dict[str, Cell]) -> str:
    """Return the model of a row, without its preset."""
    return row["system"].text.partition(" (")[0]


def ahead(summary: Summary) -> str:
    """Return a sentence, and a list of the rows in which a system is ahead of cokriging."""
    lines = []
    for name, parent in (("section", "section"), ("finer truth", "scale")):
        compared = [
            row
            for row in rows_of(summary, name)
            if isinstance(row["difference"].value, float) and model_of(row) != "cokriging"
        ]
        if not compared:
            continue
        rows = [row for row in compared if float(row["difference"].value or 0) > 0]
        what = "by section" if name == "section" else "against a finer truth"
        if not rows:
            lines.append(
                f"* **No system is ahead of `cokriging` in any of the {len(compared)} rows {what}.**"
            )
        else:
            systems = [
                f"{row['system'].text} on {row[parent].text}{', ' + row['split'].text if 'split' in row else ''}: "
                f"{row['difference'].text}, {row['reference'].text}"
                for row in rows
            ]
            lines.append(
                f"* Ahead of `cokriging` in {len(rows)} of {len(compared)} rows {what}: {'; '.join(systems)}."
            )
    return "\n".join(lines)


def nearest(summary: Summary) -> str:
    """Return, for each split, section and encoder, cokriging's score and the system of others nearest to it."""
    groups: dict[tuple[str, ...], list[dict[str, Cell]]] = {}
    for row in rows_of(summary, "section"):
        if isinstance(row["difference"].value, float) and model_of(row) not in _OWN:
            groups.setdefault(tuple(row[name].text for name in ("split", "section", "reference")), []).append(
                dict(row)
            )
    rows = []
    for (split, section, reference), systems in sorted(groups.items()):
        first = max(systems, key=lambda row: float(row["difference"].value or 0))
        how = [first[name].text for name in _HOW]
        scores = (first[name].text for name in ("system", "r", "difference"))
        number = len({row["system"].text for row in systems})
        rows.append((split, section, reference, *scores, *how, str(number)))
    head = (
        "split",
        "section",
        "compared with",
        "nearest system",
        "r test",
        "r less cokriging's",
        *_HOW.values(),
        "of",
    )
    return markdown(head, rows)


def excerpt(summary: Summary, columns: Sequence[str]) -> str:
    """Return some columns of the table over sections."""
    table = summary.tables[0]
    headings = {column.key: column.heading for column in table.columns}
    rows = ([row[name].text for name in columns] for row in table.rows)
    return markdown([headings[name] for name in columns], rows)


def sources(folders: Iterable[str], frame: pd.DataFrame) -> str:
    """Return the folders, what they hold and the commands that write them."""
    rows = []
    for name in folders:
        mine = frame[(frame["benchmark"] == name) & frame["level"].isin(["section", "finer truth"])]
        rows.append((name, str(mine["system"].nunique()), f"`{BENCHMARKS[name]} --out runs/{name}`"))
    table = markdown(("folder", "systems", "command"), rows)
    return f"<!-- not compared: some take hours; their tables are compared on their own pages -->\n\n{table}"


def replaced(text: str, parts: dict[str, str]) -> str:
    """Return the text with the parts between its marks replaced."""
    for name, part in parts.items():
        mark = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        text, number = mark.subn(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)
        if number != 1:
            raise SystemExit(f"{PAGE.name} has {number} parts '{name}', not one.")
    return text


def texts_of(summary: Summary) -> dict[str, str]:
    """Return the parts of the page that are made from the whole table."""
    frame = summary.to_frame()
    missing = [f"* {sentence}" for name in BENCHMARKS if (sentence := missing_rows(name, frame))]
    return {
        "sources": "\n".join([sources(summary.sources, frame), "", *missing]),
        "ahead": ahead(summary),
        "nearest": nearest(summary),
    }


def main() -> None:
    """Write the page, its table and the text tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parents", nargs="+", type=Path, help="folders that hold the benchmarks' folders")
    parents = parser.parse_args().parents
    with tempfile.TemporaryDirectory() as text:
        out = Path(text)
        folders = finished(parents, out)
        # what is new replaces what the page has of the same fits
        kept = STATIC / "one-table.parquet"
        tissues = summarise(folders[_TISSUES], out) if _TISSUES in folders else None
        summary = summarise([kept, *(part for parts in folders.values() for part in parts)], out)
        for suffix in ("html", "parquet"):
            shutil.copyfile(out / f"summary.{suffix}", STATIC / f"one-table.{suffix}")
    parts = texts_of(summary)
    if tissues is not None:
        parts["tissues"] = excerpt(tissues, (*_EXCERPT, *_TRAINING, "cpu_s"))
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), parts), encoding="utf-8")
    print(f"{len(folders)} benchmarks, {sum(len(table.rows) for table in summary.tables)} rows")


if __name__ == "__main__":
    main()
