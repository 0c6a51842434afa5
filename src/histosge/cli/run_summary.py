"""What is printed at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import ReplyOptions
from .screen import print_result

if TYPE_CHECKING:
    from histosge.workflow.result import RunResult

__all__ = ["auxiliary_lines", "print_run", "program_lines"]


def print_run(result: RunResult, reply: ReplyOptions) -> None:
    """Print what a run wrote, as JSON or for people."""
    record = result.as_dict()
    lines = [
        f"{record['locations']} locations × {len(result.genes)} genes in {result.seconds:.0f} s",
        *_gene_lines(result),
        *auxiliary_lines(record),
        *program_lines(record),
        *_unmeasured_lines(result),
        *(f"  {sentence}" for sentence in record.get("accuracy", ())),
        *(f"  {result.out / name}" for name in result.files),
        f"  {result.out / 'run.json'}",
    ]
    print_result(record, as_json=reply.json, lines=lines)


def auxiliary_lines(record: dict[str, Any]) -> list[str]:
    """Return a line for each auxiliary section; of an image alone, what its prediction rests on."""
    if not record.get("section", {}).get("measured", True):
        return [f"  {record['basis']}", *_left_out_lines(record.get("leave_one_section_out"))]
    return [
        f"  with '{section['name']}', {section['spots']} spots: {section['genes']} genes in common; "
        f"{section['missing']} genes of the section are not in it and were not fitted"
        for section in record["auxiliary"]
    ]


def program_lines(record: dict[str, Any]) -> list[str]:
    """Return a line on the gene programs of a fit, where there are some."""
    programs = record.get("programs")
    if programs is None:
        return []
    written = record.get("genes_written")
    genes = len(record["genes"]) if written is None else written["fitted"]
    return [
        f"  with gene programs of {programs['profiles']} profiles ({', '.join(programs['names'])}): "
        f"{programs['common']} of the {genes} fitted genes are among them"
    ]


def _gene_lines(result: RunResult) -> list[str]:
    """Return which genes are written, and how to get any other one."""
    written = result.written
    reasons = (
        (written.named, "named"),
        (written.markers, "known markers"),
        (written.reliable, "others with a reliable map"),
    )
    others = "".join(f", {number} {reason}" for number, reason in reasons if number)
    lines = [f"  genes written: {written.fitted} fitted{others}"] if others else []
    if written.predicted > len(result.genes):
        lines.append(
            f"  any other of {written.predicted}: histosge export {result.out} --genes NAME --out FILE.h5ad"
        )
    return lines


def _unmeasured_lines(result: RunResult) -> list[str]:
    """Return a line on genes that were never measured in the section, where some are predicted."""
    if result.unmeasured is None or not len(result.unmeasured.prediction.genes):
        return []
    genes, r = result.unmeasured.prediction.genes, result.unmeasured.r
    unit = (
        "standard deviations" if result.unmeasured.levels is None else "log1p, their level from the programs"
    )
    return [
        f"  never measured here: {len(genes)} genes, r {r.mean():.2f} on average, in {unit}: unmeasured.h5ad"
    ]


def _left_out_lines(accuracy: dict[str, Any] | None) -> list[str]:
    """Return a line on the accuracy in sections that were left out of the fit, where that is known."""
    if accuracy is None:
        return []
    text = f"  each of the {accuracy['sections']} sections predicted from the others: "
    text += f"mean correlation {accuracy['r']:.2f}"
    coverage = accuracy["coverage"]
    return [text if coverage is None else f"{text}; 90 % intervals cover {coverage:.0%} of what was measured"]
