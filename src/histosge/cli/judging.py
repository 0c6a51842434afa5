"""The commands that judge models: ``evaluate``, ``benchmark``, and ``datasets`` to judge them on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from histosge.errors import UsageError

from .app import app, assignment
from .screen import answer, errors_as_sentences, progress_bars, table

__all__ = ["app", "benchmark", "datasets", "evaluate"]

Jobs = Annotated[int, typer.Option(help="Processes; each takes the memory of one.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0, mps.")]
Precision = Annotated[str, typer.Option(help="auto, fp32 or bf16.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")]
Weights = Annotated[Path | None, typer.Option(help="Local file of the encoder's weights.")]


@app.command()
def evaluate(
    sections: Annotated[list[Path], typer.Argument(metavar="SECTION…", help="As for `histosge run`.")],
    models: Annotated[
        str,
        typer.Option(help="Separated by commas: histosge,ridge,histosge:published. Baselines always run."),
    ] = "cokriging,histosge",
    presets: Annotated[
        str | None, typer.Option(help="Presets, separated by commas, for those models that have them.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="random:0.5, published, blocks:6, sublattice:3, sections or patients.")
    ] = "random:0.5",
    patients: Annotated[
        str | None,
        typer.Option(
            help="Whom each section comes from, in their order: A,A,B. The split `patients` needs it."
        ),
    ] = None,
    auxiliary: Annotated[
        bool, typer.Option("--auxiliary", help="Fit all other sections too, beside what a split retains.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="How many seeds: 0, 1, 2 …")] = 3,
    genes: Annotated[str, typer.Option(help="hvg:N, all, or a FILE with one name a line.")] = "hvg:1000",
    encoder: Annotated[str, typer.Option(help="One or more, separated by commas.")] = "texture",
    weights: Weights = None,
    image: Annotated[Path | None, typer.Option(help="Full-resolution image, of a single section.")] = None,
    mpp: Annotated[
        float | None, typer.Option(help="µm per full-resolution pixel, of a single section.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the models that have it."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the scores.")] = Path("histosge-scores"),
    jobs: Jobs = 1,
    device: Device = "auto",
    precision: Precision = "auto",
    json: Json = False,
) -> None:
    """Judge models on spots they have not seen, beside the baselines, with an audit of every fit."""
    with errors_as_sentences(as_json=json), progress_bars() as progress:
        from histosge.evaluation.plan import Plan, SectionSpec

        if len(sections) > 1 and (image is not None or mpp is not None):
            raise UsageError("--image and --mpp belong to one section; for several, write a plan.")
        if seeds < 1:
            raise UsageError(f"--seeds must be 1 or more, got {seeds}.")
        plan = Plan(
            tuple(
                SectionSpec(path, _name(path, sections), image, mpp, patient)
                for path, patient in zip(sections, _patients(patients, len(sections)), strict=True)
            ),
            _entries(models, presets, dict(assignment(text) for text in set_ or ())),
            (split,),
            tuple(range(seeds)),
            _words(encoder),
            genes,
            auxiliary=auxiliary,
        )
        _judge(plan, out, _machine(device, precision, weights, progress), jobs, as_json=json)


@app.command()
def benchmark(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="See docs/benchmark.md.")],
    out: Annotated[Path, typer.Option(help="Folder for the scores.")] = Path("histosge-benchmark"),
    weights: Weights = None,
    jobs: Jobs = 1,
    device: Device = "auto",
    precision: Precision = "auto",
    json: Json = False,
) -> None:
    """Run a plan of sections × splits × encoders × models × seeds; what is done already is not done again."""
    with errors_as_sentences(as_json=json), progress_bars() as progress:
        from histosge.evaluation.plan import Plan

        compute = _machine(device, precision, weights, progress)
        _judge(Plan.read(plan), out, compute, jobs, as_json=json)


def _name(path: Path, sections: list[Path]) -> str:
    """Return a name that tells folders of one name (`outs`) apart; nothing where the section's own will do."""
    alike = [other for other in sections if other.resolve().name == path.resolve().name]
    return "/".join(path.resolve().parts[-2:]) if len(alike) > 1 else ""


def _patients(text: str | None, number: int) -> tuple[str, ...]:
    """Return whom each of some sections comes from; nobody where that is not said."""
    if text is None:
        return ("",) * number
    found = _words(text)
    if len(found) != number:
        raise UsageError(
            f"--patients names whom each of {number} sections comes from, got {len(found)} names."
        )
    return found


def _judge(plan: Any, out: Path, compute: Any, jobs: int, *, as_json: bool) -> None:
    from histosge.evaluation.benchmark import benchmark as run
    from histosge.evaluation.tables import COLUMNS, NOTES, ON_SCREEN, further, rows

    content = run(plan, out, compute, jobs=jobs)
    if as_json:
        answer(content, as_json=True, lines=())
        return
    for section, split in dict.fromkeys((row["section"], row["split"]) for row in content["rows"]):
        short = [COLUMNS.index(name) for name in ON_SCREEN]
        cells = [tuple(row[column] for column in short) for row in rows(content, section, split)]
        table(f"{section}, {split}", ON_SCREEN, cells)
    for page, _ in further(content):
        table(page.title, page.header, page.lines)
    messages = dict.fromkeys([*NOTES, *(note for _, note in further(content))])
    said = [f"{each['model']}: {each['passed_over']}" for each in content["passed_over"]]
    files = [str(out / name) for name in content["files"]]
    answer({}, as_json=False, lines=[*dict.fromkeys(said), *messages, *files])


def _words(text: str) -> tuple[str, ...]:
    """Return the words between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _entries(models: str, presets: str | None, options: dict[str, Any]) -> tuple[Any, ...]:
    """Return the models asked for, in the presets asked for, each with the options it has."""
    from dataclasses import fields

    from histosge.evaluation.entry import Entry
    from histosge.models import MODELS
    from histosge.models import presets as presets_of

    found = []
    used: set[str] = set()
    wanted = _words(presets or "")
    for word in _words(models):
        plain = Entry.parse(word)
        names = {item.name for item in fields(MODELS[plain.model])}
        own = {name: value for name, value in options.items() if name in names}
        used |= set(own)
        chosen = () if plain.preset else tuple(name for name in wanted if name in presets_of(plain.model))
        found += [Entry(plain.model, preset, own) for preset in (chosen or (plain.preset,))]
    if strange := [name for name in wanted if name not in {entry.preset for entry in found}]:
        raise UsageError(f"None of the models, as they are asked for, has a preset '{strange[0]}'.")
    if lost := set(options) - used:
        raise UsageError(f"None of the models has an option '{min(lost)}'.")
    return tuple(found)


def _machine(device: str, precision: str, weights: Path | None, progress: Any) -> Any:
    from histosge._runtime.device import resolve_device, resolve_precision
    from histosge.workflow.fit import Compute

    where = resolve_device(device)
    return Compute(where, resolve_precision(precision, where), weights, None, progress)


@app.command()
def datasets(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME…]", help="To fetch, or `dlpfc` for all of it; none: list."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default: the user's data folder.")] = None,
    image: Annotated[bool, typer.Option(help="Fetch the full-resolution images, which are large.")] = True,
    json: Json = False,
) -> None:
    """List the paper's data sets, or fetch some from their public homes; their hashes are pinned as they arrive."""
    with errors_as_sentences(as_json=json), progress_bars() as progress:
        from histosge.datasets.fetch import default_folder, fetch
        from histosge.datasets.public import PUBLIC

        from .catalogue import catalogue

        if not names:
            columns, listed = catalogue("datasets")
            if json:
                known = [dict(zip(columns, line, strict=True)) for line in listed]
                answer({"datasets": known}, as_json=True, lines=())
            else:
                table("datasets", columns, listed)
            return
        wanted = [each for name in names for each in _family(name, tuple(PUBLIC)) or (name,)]
        chosen = [PUBLIC[name] for name in dict.fromkeys(wanted)]
        folder = default_folder() if out is None else out
        found = {each.name: fetch(each, folder, image=image, progress=progress) for each in chosen}
        lines = [f"{path}  {PUBLIC[name].note}".rstrip() for name, path in found.items()]
        answer({name: str(path) for name, path in found.items()}, as_json=json, lines=lines)


def _family(word: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the data sets that a word stands for: ``dlpfc`` for its twelve sections."""
    return tuple(name for name in names if name.startswith(f"{word}/"))
