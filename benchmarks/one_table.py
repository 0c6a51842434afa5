"""Make the page of all benchmarks, docs/_static/one-table.html, and the tables of docs/results/one-table.md.

    python benchmarks/one_table.py runs

`runs`, or several folders, hold the folders that the commands of `BENCHMARKS` write, by name. Rows of benchmarks and
fits that are not there are those of the page as it is: docs/_static/one-table.parquet. Of a plan that has not finished,
the fits that are done count. Nothing is fitted: a minute.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from histosge.errors import HistosgeError
from histosge.evaluation.baselines import REFERENCE
from histosge.evaluation.benchmark import benchmark
from histosge.evaluation.evaluate import seeds_of
from histosge.evaluation.plan import AUXILIARY_SUFFIX, WHOLE_SECTION, Plan
from histosge.evaluation.plan_file import read_plan
from histosge.evaluation.summary.cell import Cell, number
from histosge.evaluation.summary.read_folder import read_folder
from histosge.evaluation.summary.section_rows import system_name
from histosge.evaluation.summary.summarise import Summary, summarise
from histosge.evaluation.trial import is_done, trial_key
from histosge.models import MODELS
from histosge.workflow.compute import Compute

#: the cells of a row of a table, by column
Row: TypeAlias = Mapping[str, Cell]

ROOT = Path(__file__).parents[1]
PAGE, STATIC = ROOT / "docs/results/one-table.md", ROOT / "docs/_static"

_PLANS = (
    *("three_tissues", "full_two", "full_more", "full_small", "full_large", "imagenet", "papers_table"),
    *(
        "rivals_small",
        "rivals_small_slow",
        "rivals_large",
        "rivals_windows",
        "rivals_sections",
        "all_sections",
    ),
)
_DATA = "../shared/data"
_EVALUATED = {
    **{
        f"pub_{name.replace(':', '_')}": f"{_DATA}/her2st/C2 --seeds 1 --models cokriging,ridge,{name}"
        for name in ("triplex:published", "istar:spot", "istar:published")
    },
    "fine_rivals": (
        f"--truth {_DATA}/xenium_breast_rep1 --seeds 1 --widths-um 50 "
        "--models cokriging,tesla,bayesspace,istar,bleep,mclstexp,stentrans:doubled"
    ),
}
#: the folders, in the order in which they count, and the commands that write them
BENCHMARKS = {
    **{name: f"histosge benchmark benchmarks/{name}.toml" for name in _PLANS},
    **{name: f"histosge evaluate {words}" for name, words in _EVALUATED.items()},
}
# the one whose own table stands on the page
_TISSUES = "three_tissues"
# models in these folders of the package stand beside every system; all others are systems of the paper or rivals
_OWN = ("cokriging", "baselines")
# what is compared with cokriging in the rows of a level, and the columns that name such a row beside its system
_COMPARED = {
    "section": {"r": "r at test spots", "given_depth": "r given depth", "skill": "skill"},
    "finer truth": {
        "r": "r",
        "inside": "r inside spots",
        "between": "r between spots",
        "given_depth": "r given depth",
        "skill": "skill",
    },
}
_LABELS = {"section": ("section", "split", "genes"), "finer truth": ("truth", "scale")}
# what is left out of tables as a repeat agrees in four digits
_SAME_R = 2e-4
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


def plan_of(name: str) -> Plan:
    """Return what a command of `BENCHMARKS` fits, without baselines: where they cannot predict they are left out."""
    if name in _PLANS:
        return replace(read_plan(ROOT / "benchmarks" / f"{name}.toml"), baselines=False)
    words = _EVALUATED[name].removeprefix("--truth ").split()
    options = dict(zip(words[1::2], words[2::2], strict=True))
    models, seeds = options["--models"].split(","), seeds_of(int(options["--seeds"]))
    return Plan((Path(words[0]),), models, seeds=seeds, baselines=False)


def known_rows(frame: pd.DataFrame, seeds: int, *, is_finer: bool) -> set[tuple[str, ...]]:
    """Return section, split, system and encoder of the rows with so many seeds; a finer truth has no split."""
    rows = frame[frame["seeds"] >= seeds]
    if is_finer:
        rows = rows[rows["level"] == "finer truth"]
        # after the comma the layout of the spots
        rows = rows.assign(section=rows["truth"].str.partition(", ")[0], split="")
    else:
        rows = rows[rows["level"] == "section"]
    return set(rows[["section", "split", "system", "encoder"]].itertuples(index=False, name=None))


def missing_rows(name: str, frame: pd.DataFrame) -> str:
    """Return a sentence that names the rows of a command that no benchmark has; an empty one where there is none."""
    plan, is_finer = plan_of(name), "--truth" in BENCHMARKS[name]
    known = known_rows(frame, len(plan.seeds), is_finer=is_finer)
    # of each system the sections by split; a section repeats with each seed
    missing: dict[str, dict[str, dict[str, None]]] = {}
    for trial in plan.trials():
        # a plan has it besides its models
        if trial.recipe.model == REFERENCE.model:
            continue
        section, split = plan.specs[trial.section].label, "" if is_finer else trial.split
        system = system_name(trial.recipe.model, trial.recipe.variant)
        if (section, split, system, trial.encoder) not in known:
            missing.setdefault(system, {}).setdefault(split, {})[section] = None
    groups: dict[str, list[str]] = {}
    for system, of in missing.items():
        groups.setdefault(sections_text(plan, of), []).append(system)
    parts = [f"{', '.join(systems)} on {of}" for of, systems in groups.items()]
    return f"{name} has no row yet of {'; of '.join(parts)}." if parts else ""


def sections_text(plan: Plan, sections_by_split: Mapping[str, Iterable[str]]) -> str:
    """Return sections, with the splits where a plan has several; splits that lack the same sections together."""
    splits_by_sections: dict[tuple[str, ...], list[str]] = {}
    for split, sections in sections_by_split.items():
        splits_by_sections.setdefault(tuple(sections), []).append(split)
    parts = []
    for sections, splits in splits_by_sections.items():
        text = ", ".join(sections) if len(sections) < max(len(plan.sections), 3) else "every section"
        parts.append(text if len(plan.split_names) == 1 else f"{text} ({', '.join(splits)})")
    return " and ".join(parts)


def finished_fits(name: str, folder: Path, out: Path) -> list[Path]:
    """Return folders of the fits of a plan that are done, one for each section."""
    if name not in _PLANS:
        return []
    plan = read_plan(ROOT / "benchmarks" / f"{name}.toml")
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


def rows_of_commands(path: Path, out: Path) -> Path:
    """Return a copy of a table, in ``out``, without rows of benchmarks that are no longer in `BENCHMARKS`."""
    frame, copy = pd.read_parquet(path), out / path.name
    attrs = frame.attrs
    gone = [name for name in attrs["sources"] if name not in BENCHMARKS]
    # what is not of one benchmark is computed from the rows that are
    kept = frame[~frame["benchmark"].isin(gone)]
    kept.attrs = {
        "sources": [name for name in attrs["sources"] if name not in gone],
        "sentences": [text for text in attrs["sentences"] if not any(name in text for name in gone)],
    }
    kept.to_parquet(copy)
    return copy


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = list(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def rows_of(summary: Summary, name: str) -> list[Row]:
    """Return the rows of one of the tables of a summary; none where it has no such table."""
    return [row for table in summary.tables if table.name == name for row in table.rows]


def model_of(row: Row) -> str:
    """Return the model of a row, without its preset."""
    return row["system"].text.partition(" (")[0]


def is_own(model: str) -> bool:
    """Return whether a model is cokriging or a baseline; one of another package is a system."""
    return model in MODELS and MODELS[model].__module__.split(".")[-2] in _OWN


def reference_row(row: Row, rows: Iterable[Row], labels: Sequence[str]) -> Row | None:
    """Return the row of cokriging that a row's difference is to; ``None`` where its seeds are not all those of the row.

    Tables show the same scores of two folders once, so that it may stand under the name of another folder.
    """
    difference = row["difference"].value
    if not isinstance(difference, float):
        return None
    correlation = number_of(row["r"]) - difference
    same = [
        other
        for other in rows
        if other["system"].text == "cokriging"
        and all(other[name].text == row[name].text for name in (*labels, "reference", "seeds"))
        and abs(number_of(other["r"]) - correlation) < _SAME_R
    ]
    return min(same, key=lambda other: other["benchmark"].text != row["benchmark"].text, default=None)


def number_of(cell: Cell) -> float:
    """Return the value of a cell; NaN where there is none."""
    return cell.value if isinstance(cell.value, float) else math.nan


def ahead(summary: Summary) -> str:
    """Return in how many rows systems, and baselines, are ahead of cokriging, which these are, and which is nearest.

    A system counts once on each section, split and encoder, and against a finer truth at each scale: it is ahead if its
    row of any folder is.
    """
    lines = []
    for level, measures in _COMPARED.items():
        rows = [row for row in rows_of(summary, level) if not row["difference"].is_absent]
        if not rows:
            continue
        references = [row for row in rows_of(summary, level) if row["system"].text == "cokriging"]
        pairs = [(row, reference_row(row, references, _LABELS[level])) for row in rows]
        what = (
            "By section (rows: section × split × system × encoder"
            if level == "section"
            else "Against a finer truth (rows: scale × system × encoder"
        )
        lines += [f"* {what}; what several folders have counts once):"]
        lines += [f"  * {words}: {ahead_in(name, pairs, _LABELS[level])}" for name, words in measures.items()]
    return "\n".join(lines)


def ahead_in(name: str, pairs: Iterable[tuple[Row, Row | None]], labels: Sequence[str]) -> str:
    """Return the sentences on one score: one of the systems, and one of the baselines."""
    # of each kind the largest difference of any folder, and the words for it
    best: dict[bool, dict[tuple[str, ...], tuple[float, str]]] = {False: {}, True: {}}
    for row, reference in pairs:
        cell = (
            row["difference"]
            if name == "r"
            else difference_of(row[name], None if reference is None else reference[name])
        )
        if cell.is_absent:
            continue
        key = tuple(row[part].text for part in ("system", *labels, "reference"))
        where = ", ".join(row[part].text for part in labels if part != "genes")
        entry = (number_of(cell), f"{row['system'].text} on {where}: {cell.text}")
        known = best[is_own(model_of(row))]
        known[key] = max(known.get(key, entry), entry)
    sentences = []
    for own, kind in ((False, "system of the paper or rival"), (True, "baseline")):
        entries = sorted(best[own].values(), reverse=True)
        better = [words for difference, words in entries if difference > 0]
        if better:
            sentences.append(
                f"A {kind} is ahead of `cokriging` in {len(better)} of {len(entries)} rows: {'; '.join(better)}."
            )
        elif entries:
            none = f"No {kind} is ahead of `cokriging` in any of {len(entries)} rows"
            sentences.append(f"{none if own else f'**{none}**'}; nearest is {entries[0][1]}.")
    return " ".join(sentences) or "not recorded."


def difference_of(cell: Cell, reference: Cell | None) -> Cell:
    """Return the difference of two cells; an absent one where either has no number."""
    difference = math.nan if reference is None else number_of(cell) - number_of(reference)
    return number(difference, signed=True)


def nearest(summary: Summary) -> str:
    """Return, for each split, section and encoder, cokriging's score and the system of others nearest to it."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows_of(summary, "section"):
        if isinstance(row["difference"].value, float) and not is_own(model_of(row)):
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
        kept = rows_of_commands(STATIC / "one-table.parquet", out)
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
