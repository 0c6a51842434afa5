"""The commands."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from histosge.errors import UsageError

from .options import Answer, Borrow, Compute, Cook, Deliver, FitFolder, Measured, Where, grouped
from .screen import answer, errors_as_sentences, progress, remarks, table

__all__ = ["app", "assignment"]

app = typer.Typer(
    name="histosge",
    help="High-resolution gene expression from a histology image and a spatial-transcriptomics section.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
@grouped
def run(
    measured: Measured,
    borrow: Borrow,
    cook: Cook,
    where: Where,
    compute: Compute,
    deliver: Deliver,
    reply: Answer,
) -> None:
    """Read a section, fit, predict at more places than were measured, write files and figures.

    Given an image alone, fit its siblings and predict it from what it looks like.
    """
    with errors_as_sentences(as_json=reply.json), progress() as report:
        from histosge.workflow.run import run as run_section

        section = _read(measured)
        record = run_section(
            section,
            _recipe(cook),
            target=_target(where, section),
            out=deliver.out,
            machine=_machine(compute, cook.weights, report),
            outputs=_outputs(deliver),
            siblings=_siblings(measured, borrow),
        )
        _tell(record, deliver.out, as_json=reply.json)


@app.command()
@grouped
def embed(
    measured: Measured, cook: Cook, where: Where, compute: Compute, deliver: Deliver, reply: Answer
) -> None:
    """Look at the image at the places wanted and keep the features; the slow step with large encoders."""
    with errors_as_sentences(as_json=reply.json), progress() as report:
        from histosge.workflow.run import embed_into

        machine = _machine(compute, cook.weights, report)
        section, recipe = _read(measured), _recipe(cook)
        record = embed_into(section, recipe, target=_target(where, section), out=deliver.out, machine=machine)
        lines = [f"{record['places']} places × {record['dim']} features in {record['store']}"]
        answer(record, as_json=reply.json, lines=lines)


@app.command()
@grouped
def fit(
    measured: Measured, borrow: Borrow, cook: Cook, compute: Compute, deliver: Deliver, reply: Answer
) -> None:
    """Fit a model to a section and keep it, for `histosge predict`."""
    with errors_as_sentences(as_json=reply.json), progress() as report:
        from histosge.workflow.run import fit_into

        machine = _machine(compute, cook.weights, report)
        siblings = _siblings(measured, borrow)
        record = fit_into(_read(measured), _recipe(cook), out=deliver.out, machine=machine, siblings=siblings)
        fitted = f"fitted {len(record['genes'])} genes; kept in {deliver.out / 'fit'}"
        answer(record, as_json=reply.json, lines=[fitted, *_borrowed(record)])


@app.command()
@grouped
def predict(
    measured: Measured, fit_: FitFolder, where: Where, compute: Compute, deliver: Deliver, reply: Answer
) -> None:
    """Predict with a model fitted before, at other places, or an image of a section that was never measured."""
    with errors_as_sentences(as_json=reply.json), progress() as report:
        from histosge.workflow.run import predict_into

        section = _read(measured)
        record = predict_into(
            section,
            fit_.fit,
            target=_target(where, section),
            out=deliver.out,
            machine=_machine(compute, fit_.weights, report),
            outputs=_outputs(deliver),
        )
        _tell(record, deliver.out, as_json=reply.json)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the section and the results.")] = Path(
        "histosge-demo"
    ),
    seed: Annotated[int, typer.Option(help="Another seed, another tissue.")] = 0,
) -> None:
    """Make a tissue whose truth is known, run the main job on it and end with a picture."""
    with errors_as_sentences(as_json=False), progress() as report:
        from histosge.workflow.demo import demo as run_demo

        record = run_demo(out, seed=seed, report=report)
        _tell(record, out, as_json=False)


@app.command()
def doctor(
    section: Annotated[Path | None, typer.Argument(metavar="[SECTION]", help="A section to examine.")] = None,
    image: Annotated[Path | None, typer.Option(help="Full-resolution image.")] = None,
    mpp: Annotated[float | None, typer.Option(help="µm per full-resolution pixel.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a picture of the spots on the image.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the installation, the weights, and whether an image matches its coordinates."""
    with errors_as_sentences(as_json=json):
        from histosge.workflow.doctor import examine

        checks = examine(section, image=image, mpp=mpp, out=out)
        if json:
            answer({"checks": [check.as_dict() for check in checks]}, as_json=True, lines=())
        else:
            table(
                "histosge doctor", ("check", "", "finding"), [(c.name, c.verdict, c.finding) for c in checks]
            )
        if any(check.verdict == "bad" for check in checks):
            raise SystemExit(3)


@app.command(name="list")
def list_(
    kind: Annotated[str, typer.Argument(help="encoders, models, readers, metrics, datasets or domains.")],
) -> None:
    """List what there is."""
    with errors_as_sentences(as_json=False):
        from .catalogue import catalogue

        table(kind, *catalogue(kind))


@app.command()
def cite(
    names: Annotated[
        list[str] | None, typer.Argument(help="Encoders and models used; none: histosge's own.")
    ] = None,
) -> None:
    """Print the BibTeX of what was used."""
    with errors_as_sentences(as_json=False):
        from histosge.workflow.citation import citation

        typer.echo(citation(names or ()))


@app.callback(invoke_without_command=True)
def version_option(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """High-resolution gene expression from a histology image and a spatial-transcriptomics section."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"histosge {installed('histosge')}")
        raise typer.Exit


def _read(measured: Measured) -> Any:
    from histosge.io.readers import read

    section = read(
        measured.section,
        image=measured.image,
        mpp=measured.mpp,
        reader=measured.reader,
        bin_um=measured.bin_um,
        library_id=measured.library_id,
        check=not measured.trust_alignment,
    )
    remarks(section.notes)
    return section


def _siblings(measured: Measured, borrow: Borrow) -> list[Any]:
    """Read the sections to borrow from, as the first is read where that says nothing of its own image."""
    others = [
        replace(measured, section=path, image=None, mpp=None, library_id=None)
        for path in borrow.sibling or ()
    ]
    return [_read(other) for other in others]


def _borrowed(record: dict[str, Any]) -> list[str]:
    """Return a line for each sibling: which genes it shares; of an image, what is known of it at all."""
    if not record.get("section", {}).get("measured", True):
        return [f"  {record['basis']}", *_checked(record.get("elsewhere"))]
    return [
        f"  with '{each['name']}', {each['spots']} spots: {each['genes']} genes in common; {each['missing']} genes of "
        "the section are not in it and were not fitted"
        for each in record["siblings"]
    ]


def _checked(elsewhere: dict[str, Any] | None) -> list[str]:
    """Return a line on how genes fare in sections of which nothing was fitted, where that is known."""
    if elsewhere is None:
        return []
    said = f"  each of the {elsewhere['sections']} sections predicted from the others: "
    said += f"mean correlation {elsewhere['skill']:.2f}"
    share = elsewhere["coverage"]
    return [said if share is None else f"{said}; 90 % intervals hold {share:.0%} of what was measured"]


def _recipe(cook: Cook) -> Any:
    from histosge.workflow.recipe import Recipe

    options = dict(assignment(text) for text in cook.set_ or ())
    return Recipe(cook.model, cook.preset, options, cook.encoder, cook.view_um, cook.genes, cook.seed)


def assignment(text: str) -> tuple[str, Any]:
    """Return the field and the value of ``FIELD=VALUE``; the value is a Python literal where it can be one."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set expects FIELD=VALUE, got '{text}'. Try --set epochs=200.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _target(where: Where, section: Any) -> Any:
    from histosge.section.image_only import LOOK_UM
    from histosge.section.target import Target

    refine, spacing_um = where.refine, where.spacing_um
    if refine is None and spacing_um is None and where.cells is None and where.regions is None:
        # an image has no spots to refine
        refine, spacing_um = (4, None) if section.lattice is not None or section.measured else (None, LOOK_UM)
    return Target(refine, spacing_um, where.regions, where.cells, where.fringe)


def _machine(compute: Compute, weights: Path | None, report: Any) -> Any:
    from histosge._runtime.device import resolve_device, resolve_precision
    from histosge.workflow.fit import Machine

    device = resolve_device(compute.device)
    return Machine(device, resolve_precision(compute.precision, device), weights, compute.store, report)


def _outputs(deliver: Deliver) -> Any:
    from histosge.workflow.outputs import Outputs

    show = tuple(gene.strip() for gene in deliver.show.split(",")) if deliver.show else ()
    return Outputs(tuple(deliver.also or ()), show, deliver.figures)


def _tell(record: dict[str, Any], out: Path, *, as_json: bool) -> None:
    seconds = sum(stage["wall_s"] for stage in record["stages"].values())
    lines = [
        f"{record['places']} places × {len(record['genes'])} genes in {seconds:.0f} s",
        *_borrowed(record),
        *(f"  {out / name}" for name in record["files"]),
        f"  {out / 'run.json'}",
    ]
    answer(record, as_json=as_json, lines=lines)
