"""Writing domains: table, h5ad, maps and a record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from histosge._runtime.atomic_files import atomic_path, writable_folder
from histosge._runtime.messages import Message
from histosge._runtime.names import positions
from histosge._runtime.provenance import environment
from histosge._runtime.records import write_record
from histosge._runtime.spreadsheet import as_cell
from histosge._runtime.types import Array
from histosge.domains import Agreement, Criterion, Domains
from histosge.figures.domain_certainty import confidence_map, criterion_chart
from histosge.figures.domain_maps import Backdrop, Panel, domain_maps
from histosge.figures.png import save_png
from histosge.io.anndata_objects import write
from histosge.io.own_files import refuse_foreign_outputs, refuse_inputs

if TYPE_CHECKING:
    from anndata import AnnData
    from pandas import DataFrame

__all__ = ["DomainsRecord", "add_domains", "criterion_arrays", "refuse_overwriting", "write_domains"]

_FILES = ("domains.tsv", "domains.h5ad", "domains.png")
# without a confidence, or a criterion, these are not written
_CONFIDENCE, _NUMBER = "domain-confidence.png", "number-of-domains.png"


@dataclass(frozen=True, slots=True)
class DomainsRecord:
    """What ``domains.json`` holds.

    Parameters
    ----------
    section, values, locations
        Name of the section, kind of the values, number of locations.
    method, config
        Name of the method and its options.
    seeds, clusters
        Seeds, and the number of domains of each.
    domains, confidence
        Number of domains of the consensus, and its mean confidence; ``None`` for one seed of a method without any.
    criterion
        By which the number was chosen; ``None`` where it was set.
    annotated
        Number of annotated locations; ``None`` without annotation.
    scores, consensus
        Agreement with the annotation, one value per seed, and that of the consensus; ``None`` without annotation.
    messages
        About the data.
    stages, environment
        Wall and CPU seconds, and versions.
    files
        Names of the files beside the record.
    """

    section: str
    values: str
    locations: int
    method: str
    config: Mapping[str, Any]
    seeds: tuple[int, ...]
    clusters: tuple[int, ...]
    domains: int
    confidence: float | None
    criterion: Criterion | None
    annotated: int | None
    scores: Agreement | None
    consensus: Agreement | None
    messages: tuple[Message, ...]
    stages: Mapping[str, Mapping[str, float]]
    environment: Mapping[str, Any]
    files: tuple[str, ...] = _FILES

    @property
    def mean(self) -> dict[str, float]:
        """Mean of each score over seeds; empty without annotation."""
        return {name: float(np.mean(values)) for name, values in self._scores().items()}

    @property
    def sd(self) -> dict[str, float | None]:
        """Standard deviation of each score over seeds; ``None`` for one seed."""
        scores = self._scores()
        return {
            name: float(np.std(values, ddof=1)) if len(values) > 1 else None
            for name, values in scores.items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the record as values of JSON, with mean and sd of the scores."""
        content = asdict(self) | {"scores": self._scores(), "mean": self.mean, "sd": self.sd}
        return dict(json.loads(json.dumps(content)))

    def _scores(self) -> dict[str, tuple[float, ...]]:
        return {} if self.scores is None else asdict(self.scores)


def refuse_overwriting(out: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse a folder in which domains would overwrite an input, or a file that this program did not write.

    Raises
    ------
    UsageError
        Before anything is computed or written.
    """
    paths = [out / name for name in (*_FILES, _CONFIDENCE, _NUMBER, "domains.json")]
    refuse_inputs(paths, inputs)
    refuse_foreign_outputs(paths, out)


def write_domains(
    domains: Domains,
    out: Path,
    *,
    image: Backdrop | None = None,
    stages: Mapping[str, Mapping[str, float]] | None = None,
) -> DomainsRecord:
    """Write ``domains.tsv``, ``domains.h5ad``, ``domains.png`` and ``domains.json``; return what the last one holds.

    Where there is a confidence, also its map ``domain-confidence.png``; where the number of domains was chosen, also
    ``number-of-domains.png``.

    Parameters
    ----------
    domains
        Of any number of seeds.
    out
        Folder, made where there is none.
    image
        To draw the maps on.
    stages
        Wall and CPU seconds of what was done before.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    writable_folder(out)
    record = _record(domains, stages or {})
    table = _table(domains)
    with atomic_path(out / "domains.tsv") as draft:
        _of_cells(table).to_csv(draft, sep="\t", index_label="location")
    _write_h5ad(domains, table, record, out / "domains.h5ad")
    save_png(domain_maps(_panels(domains), image), out / "domains.png")
    for name in (_CONFIDENCE, _NUMBER):
        if name not in record.files:
            # of an earlier call, with other domains
            (out / name).unlink(missing_ok=True)
    if domains.confidence is not None:
        save_png(confidence_map(domains.input.xy_um, domains.confidence, image), out / _CONFIDENCE)
    if domains.criterion is not None:
        save_png(criterion_chart(domains.criterion), out / _NUMBER)
    write_record(out / "domains.json", record.as_dict())
    return record


def _record(domains: Domains, stages: Mapping[str, Mapping[str, float]]) -> DomainsRecord:
    truth = domains.truth
    return DomainsRecord(
        section=domains.input.name,
        values=domains.input.description,
        locations=len(domains.input),
        method=domains.method.card.name,
        config=asdict(domains.method),  # type: ignore[call-overload]
        seeds=domains.seeds,
        clusters=domains.numbers,
        domains=domains.number,
        confidence=None if domains.confidence is None else float(np.nanmean(domains.confidence)),
        criterion=domains.criterion,
        annotated=None if truth is None else sum(1 for label in truth if label),
        scores=domains.agreement,
        consensus=domains.consensus_agreement,
        messages=domains.messages,
        stages=stages,
        environment=environment(),
        files=(
            *_FILES,
            *([_CONFIDENCE] if domains.confidence is not None else []),
            *([_NUMBER] if domains.criterion is not None else []),
        ),
    )


def _panels(domains: Domains) -> list[Panel]:
    """Return the annotation, where there is one, the consensus, and the domains of several seeds."""
    agreement, xy_um = domains.agreement, domains.input.xy_um
    panels = []
    if domains.truth is not None:
        panels.append(Panel("annotated", xy_um, np.asarray(domains.truth)))
    agreed = domains.consensus_agreement
    score = "" if agreed is None else f", ARI {agreed.ari[0]:.2f}"
    name = f"consensus of {len(domains.seeds)} seeds" if len(domains.seeds) > 1 else domains.method.card.name
    panels.append(Panel(name + score, xy_um, domains.domain.astype(str)))
    if len(domains.seeds) == 1:
        return panels
    for index, (seed, labels) in enumerate(zip(domains.seeds, domains.labels, strict=True)):
        score = "" if agreement is None else f", ARI {agreement.ari[index]:.2f}"
        title = f"{domains.method.card.name}, seed {seed}{score}"
        panels.append(Panel(title, xy_um, labels.astype(str)))
    return panels


def _table(domains: Domains) -> DataFrame:
    import pandas as pd

    xy_um = domains.input.xy_um
    columns: dict[str, Array | list[str]] = {"x_um": xy_um[:, 0], "y_um": xy_um[:, 1]}
    if domains.truth is not None:
        columns["annotated"] = list(domains.truth)
    columns["domain"] = domains.domain
    if domains.confidence is not None:
        columns["domain_confidence"] = domains.confidence.round(3)
    if len(domains.seeds) > 1 or domains.confidence is None:
        columns |= {f"seed{seed}": labels for seed, labels in zip(domains.seeds, domains.labels, strict=True)}
    return pd.DataFrame(columns, index=pd.Index(domains.input.ids.astype(object), name="location"))


def _of_cells(table: DataFrame) -> DataFrame:
    """Return the table with names that no spreadsheet takes for formulas."""
    cells = table.set_axis([as_cell(name) for name in table.index], axis=0)
    if "annotated" in cells:
        cells["annotated"] = [as_cell(label) for label in cells["annotated"]]
    return cells


def add_domains(adata: AnnData, domains: Domains, key: str) -> Array:
    """Put domains into ``obs[key]``, their confidence into ``obs[key + "_confidence"]``, a summary into ``uns[key]``.

    Returns
    -------
    The domain of each row of ``adata``; empty where there is none.

    Raises
    ------
    UsageError
        When the domains are those of another AnnData.
    """
    summary = {
        "method": domains.method.card.name,
        "clusters": domains.number,
        "seed": domains.seeds[0],
        "values": domains.input.description,
        **criterion_arrays(domains.criterion),
    }
    labels = domains.domain.astype(str)
    write(adata, key, rows=domains.input.ids, values=labels, summary=summary)
    index = positions(adata.obs_names, domains.input.ids)
    if domains.confidence is not None:
        adata.obs[f"{key}_confidence"] = np.where(index >= 0, domains.confidence[index], np.nan)
    return np.where(index >= 0, labels[index], "")


def criterion_arrays(criterion: Criterion | None) -> dict[str, Any]:
    """Return the criterion as arrays that ``uns`` holds; empty where there is none."""
    if criterion is None:
        return {}
    columns = {
        name: np.array(values) for name, values in asdict(criterion).items() if isinstance(values, tuple)
    }
    return {"criterion": columns | {"chosen": criterion.chosen, "shape": criterion.shape}}


def _write_h5ad(domains: Domains, table: DataFrame, record: DomainsRecord, path: Path) -> None:
    from anndata import AnnData

    # categories: numbers of domains have no order
    numeric = [name for name in ("x_um", "y_um", "domain_confidence") if name in table]
    obs = table.drop(columns=numeric).astype(str).astype("category")
    if domains.confidence is not None:
        obs["domain_confidence"] = domains.confidence
    adata = AnnData(obs=obs, obsm={"spatial_um": np.array(domains.input.xy_um)})
    adata.uns["domains"] = {
        "method": record.method,
        "record_json": json.dumps(record.as_dict()),
        **criterion_arrays(domains.criterion),
    }
    with atomic_path(path) as draft:
        adata.write_h5ad(draft)
