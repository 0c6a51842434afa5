"""What a run, a fit and an encoding return."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from histosge._runtime.atomic_files import atomic_path
from histosge._runtime.hashing import fingerprint_path
from histosge._runtime.messages import Message
from histosge._runtime.provenance import environment, peak_memory_bytes
from histosge._runtime.records import with_checksum
from histosge._runtime.summary import as_html, as_text, plural

from .fit import Fit
from .section_prediction import SectionPrediction
from .stages import Stages
from .unmeasured_genes import UnmeasuredGenes
from .written_genes import GenesWritten

__all__ = ["EncodeResult", "FitResult", "RunResult"]

Costs = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run wrote, and how.

    Parameters
    ----------
    out
        Its folder.
    metadata
        What identifies the result: section, recipe, model, encoder, target; the same inside every file.
    genes
        Genes in ``prediction.h5ad``.
    written
        Why these genes: the choice, and how many are fitted, named, markers or reliable.
    genes_shown
        Genes in the figures.
    unmeasured
        Genes that were never measured in the section, in ``unmeasured.h5ad``; ``None`` where none were asked for.
    missing_genes
        Names in the user's list of genes that are no genes of the section.
    messages
        What was noticed about the data.
    files
        Paths inside ``out``, each with a hash of its content.
    stages
        Wall and CPU seconds of each stage.
    seconds
        From the start of the job to its end.
    peak_memory_bytes
        Largest memory of the process; ``None`` where the system does not count it.
    environment
        Versions and computer.
    """

    out: Path
    metadata: Mapping[str, Any]
    genes: tuple[str, ...]
    written: GenesWritten
    genes_shown: tuple[str, ...]
    missing_genes: tuple[str, ...]
    messages: tuple[Message, ...]
    files: Mapping[str, str]
    stages: Costs
    seconds: float
    unmeasured: UnmeasuredGenes | None = None
    peak_memory_bytes: int | None = field(default_factory=peak_memory_bytes)
    environment: Mapping[str, Any] = field(default_factory=environment)

    def __repr__(self) -> str:
        values = {name: value for name, value in self._summary.items() if name != "files"}
        return as_text("RunResult", values | {"files": plural(len(self.files), "file")})

    def _repr_html_(self) -> str:
        return as_html("RunResult", self._summary)

    @property
    def _summary(self) -> dict[str, str]:
        """What a notebook shows of it."""
        return {
            "folder": str(self.out),
            "section": f"'{self.metadata['section']['name']}'",
            "genes": plural(len(self.genes), "gene"),
            "time": f"{self.seconds:.0f} s",
            "files": ", ".join(self.files),
        }

    @property
    def prediction(self) -> Path:
        """``prediction.h5ad``."""
        return self.out / "prediction.h5ad"

    @property
    def factors(self) -> Path | None:
        """``factors.h5ad``, with all genes; ``None`` for models without factors."""
        return self.out / "factors.h5ad" if "factors.h5ad" in self.files else None

    @property
    def figures(self) -> tuple[Path, ...]:
        """The figures drawn."""
        return tuple(self.out / name for name in self.files if name.startswith("figures"))

    def as_dict(self) -> dict[str, Any]:
        """Return what ``run.json`` holds, with a checksum of it."""
        content = {
            **self.metadata,
            "environment": dict(self.environment),
            "genes": list(self.genes),
            "genes_written": self.written.as_dict(),
            "genes_shown": list(self.genes_shown),
            "missing_genes": list(self.missing_genes),
            "unmeasured": None if self.unmeasured is None else self.unmeasured.as_dict(),
            "messages": [asdict(message) for message in self.messages],
            "stages": {name: dict(cost) for name, cost in self.stages.items()},
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "files": dict(self.files),
        }
        return with_checksum(content)

    @classmethod
    def of(
        cls,
        prediction: SectionPrediction,
        written: Sequence[Path],
        *,
        out: Path,
        stages: Stages,
        unmeasured: UnmeasuredGenes | None = None,
    ) -> RunResult:
        """Return the result of a prediction whose files are ``written``, and write it as ``run.json``."""
        result = cls(
            out=out,
            metadata=prediction.provenance,
            genes=tuple(str(name) for name in prediction.genes),
            written=prediction.written,
            genes_shown=prediction.genes_shown,
            missing_genes=prediction.missing_genes,
            messages=prediction.task.section.messages,
            files={path.relative_to(out).as_posix(): fingerprint_path(path) for path in written},
            stages=stages.costs,
            seconds=stages.seconds,
            unmeasured=unmeasured,
        )
        # last of all files: where it is, the run is complete
        with atomic_path(out / "run.json") as draft:
            draft.write_text(json.dumps(result.as_dict(), indent=2) + "\n")
        return result


@dataclass(frozen=True, slots=True)
class FitResult:
    """What fitting into a folder returns.

    Parameters
    ----------
    fit
        The fit.
    folder
        Where it is kept.
    stages, seconds
        What it cost.
    """

    fit: Fit
    folder: Path
    stages: Costs
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "fit_key": self.fit.key,
            "folder": str(self.folder),
            "genes": [str(name) for name in self.fit.genes],
            "missing_genes": list(self.fit.panel.missing),
            "auxiliary": [asdict(section) for section in self.fit.auxiliary],
            "programs": None if self.fit.metadata.programs is None else asdict(self.fit.metadata.programs),
            "fit": dict(self.fit.predictor.summary()),
            "stages": {name: dict(cost) for name, cost in self.stages.items()},
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """What computing image features into a folder returns.

    Parameters
    ----------
    locations
        Number of locations.
    dim
        Number of features of each.
    store
        Folder of the features.
    stages, seconds
        What it cost.
    files
        Files and stores of the features in layouts of other tools.
    messages
        Where the tiles in these files lie.
    """

    locations: int
    dim: int
    store: Path
    stages: Costs
    seconds: float
    files: tuple[Path, ...] = ()
    messages: tuple[Message, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self) | {"store": str(self.store), "files": [str(path) for path in self.files]}
