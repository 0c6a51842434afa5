"""Divide a subject into domains, several times, and say how far the divisions agree with an annotation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path, writable_folder
from histosge._runtime.messages import Message
from histosge._runtime.provenance import Stopwatch, environment
from histosge._runtime.types import Array, Int
from histosge.domains import Method, Runtime, pieces, spacing_um, within
from histosge.errors import UsageError
from histosge.figures import domains as pictures
from histosge.figures.maps import save
from histosge.metrics.labels import adjusted_rand, mutual_information

from .domain_input import Subject

__all__ = ["Partition", "divide", "write"]

# neighbours as the methods see them
_REACH = 1.1
_STRAY_SHARE = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Domains of a subject, one division a seed.

    Parameters
    ----------
    subject, method
        Of what, and how.
    seeds
        One a division.
    labels
        Domain of each place in each division, the largest 0.
    truth
        Annotated domain of each place, empty where there is none; ``None`` without annotation.
    messages
        What was noticed.
    """

    subject: Subject
    method: Method
    seeds: tuple[int, ...]
    labels: Int[np.ndarray, "s n"]
    truth: Sequence[str] | None
    messages: tuple[Message, ...]

    @property
    def scores(self) -> dict[str, list[float]]:
        """Agreement of each division with the annotation: ``ari`` and ``nmi``; empty without annotation."""
        if self.truth is None:
            return {}
        known = self.truth
        return {
            "ari": [adjusted_rand(known, list(labels)) for labels in self.labels],
            "nmi": [mutual_information(known, list(labels)) for labels in self.labels],
        }


def divide(
    subject: Subject,
    method: Method,
    *,
    clusters: int | None = None,
    seeds: Sequence[int] = (0,),
    truth: Sequence[str] | None = None,
    runtime: Runtime = Runtime(),
) -> Partition:
    """Find domains once a seed; all places are divided, annotated or not.

    Parameters
    ----------
    subject, method
        Of what, and how.
    clusters
        How many domains; ``None`` takes as many as ``truth`` has, or what the method finds.
    seeds
        Of the divisions.
    truth
        Annotated domains, for the number of domains alone.
    runtime
        Device and progress.
    """
    if not seeds:
        raise UsageError("Expected at least one seed, got none.")
    messages = []
    if clusters is None and truth is not None:
        clusters = len(set(truth) - {""})
        messages.append(Message("info", f"{clusters} domains, as many as are annotated."))
    pitch_um = spacing_um(subject.xy_um) if len(subject.ids) > 1 else 1.0
    if method.card.uses_position:
        messages += _loose(subject, pitch_um)
    given = {"pitch_um": pitch_um, "clusters": clusters, "runtime": runtime}
    labels = [method.assign(subject.values, subject.xy_um, seed=seed, **given) for seed in seeds]  # type: ignore[arg-type]
    return Partition(subject, method, tuple(seeds), np.stack(labels), truth, tuple(messages))


def write(found: Partition, out: Path, stages: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write ``domains.tsv``, ``domains.h5ad``, ``domains.png`` and ``domains.json``; return what the last one holds."""
    writable_folder(out)
    table = _table(found)
    with atomic_path(out / "domains.tsv") as draft:
        table.to_csv(draft, sep="\t", index_label="place")
    _write_h5ad(found, table, out / "domains.h5ad")
    save(pictures.domain_maps(_panels(found), found.subject.backdrop), out / "domains.png")
    record = _record(found) | {"stages": stages or Stopwatch().stages, "environment": environment()}
    record["files"] = ["domains.tsv", "domains.h5ad", "domains.png"]
    with atomic_path(out / "domains.json") as draft:
        draft.write_text(json.dumps(record, indent=2) + "\n")
    return record


def _loose(subject: Subject, pitch_um: float) -> list[Message]:
    """Say where the graph of neighbours falls apart: its pieces are told apart by expression alone."""
    parts = pieces(within(subject.xy_um, _REACH * pitch_um), len(subject.ids))
    if parts[0] >= (1 - _STRAY_SHARE) * len(subject.ids):
        return []
    return [
        Message(
            "warning",
            f"The places fall into {len(parts)} groups that are not neighbours of each other (the largest has "
            f"{parts[0]} of {len(subject.ids)}); nothing in space joins domains across them.",
        )
    ]


def _record(found: Partition) -> dict[str, Any]:
    scores = found.scores
    return {
        "section": found.subject.name,
        "values": found.subject.said,
        "places": len(found.subject.ids),
        "method": found.method.card.name,
        "config": asdict(found.method),  # type: ignore[call-overload]
        "seeds": list(found.seeds),
        "clusters": [len(np.unique(labels)) for labels in found.labels],
        "annotated": None if found.truth is None else sum(1 for label in found.truth if label),
        "scores": scores,
        "mean": {name: float(np.mean(each)) for name, each in scores.items()},
        "sd": {name: float(np.std(each, ddof=1)) if len(each) > 1 else None for name, each in scores.items()},
        "messages": [asdict(note) for note in found.messages],
    }


def _panels(found: Partition) -> list[pictures.Panel]:
    """Return the annotation, where there is one, and every division."""
    scores = found.scores.get("ari", [None] * len(found.seeds))
    xy_um = found.subject.xy_um
    shown = [] if found.truth is None else [pictures.Panel("annotated", xy_um, np.asarray(found.truth))]
    for seed, labels, score in zip(found.seeds, found.labels, scores, strict=True):
        said = "" if score is None else f", ARI {score:.2f}"
        shown.append(
            pictures.Panel(f"{found.method.card.name}, seed {seed}{said}", xy_um, labels.astype(str))
        )
    return shown


def _table(found: Partition) -> Any:
    import pandas as pd

    columns: dict[str, Array | list[str]] = {
        "x_um": found.subject.xy_um[:, 0],
        "y_um": found.subject.xy_um[:, 1],
    }
    if found.truth is not None:
        columns["annotated"] = list(found.truth)
    columns |= {f"seed{seed}": labels for seed, labels in zip(found.seeds, found.labels, strict=True)}
    return pd.DataFrame(columns, index=pd.Index(found.subject.ids.astype(object), name="place"))


def _write_h5ad(found: Partition, table: Any, path: Path) -> None:
    from anndata import AnnData

    obs = table.drop(columns=["x_um", "y_um"]).astype(str).astype("category")
    held = AnnData(obs=obs, obsm={"spatial_um": np.array(found.subject.xy_um)})
    held.uns["domains"] = {"method": found.method.card.name, "record_json": json.dumps(_record(found))}
    with atomic_path(path) as draft:
        held.write_h5ad(draft)
