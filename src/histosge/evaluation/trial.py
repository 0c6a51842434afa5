"""One trial of a benchmark: audit, fit, predict, score. Everything it writes is in its own folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from scipy import sparse

from histosge._runtime.atomic_files import atomic_path, holds_only
from histosge._runtime.hashing import fingerprint, fingerprint_file
from histosge._runtime.records import read_record, record_text
from histosge._runtime.types import Array
from histosge.encoders import ENCODERS, load_encoder
from histosge.encoders.base import Setup
from histosge.encoders.joined import names_of
from histosge.encoders.tile_features import FEATURES
from histosge.encoders.weights import content_hash
from histosge.errors import DataError
from histosge.metrics import Comparison
from histosge.metrics.ceiling import noise_ceilings
from histosge.models import MODELS
from histosge.models.base import Model, Predictor, Runtime, Task
from histosge.section.expression import depth, log_cp10k
from histosge.section.genes import GeneChoice, GenePanel
from histosge.section.inputs import Inputs
from histosge.section.section import Section
from histosge.workflow.compute import Compute

from .audit import Leak, audit
from .ceiling_alarm import Halves, ceiling_excess, halves_of
from .encoder_audit import audit_encoder
from .plan import Plan, Trial
from .planned_studies import panel_of, patients_of, study_of
from .scores import GENE_COLUMNS, score, tidy
from .separate_fit import TrialFit, fit_and_predict, fit_separately, with_stored_patches
from .study import Pipeline, Study, encode_study, gather_samples

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TrialResult", "gene_statistics", "is_done", "read_trial", "run_trial", "trial_key", "write_trial"]

# raised whenever scores of older versions may no longer be mixed with new ones
_VERSION = 6
_SCORES, _RECORD = "scores.parquet", "trial.json"
_REMEDY = "Delete the folder of the trial and run the benchmark again."


@dataclass(frozen=True, slots=True, eq=False)
class TrialResult:
    """Scores and cost of a trial.

    Parameters
    ----------
    section, split, model, preset, encoder, seed
        What was fitted; ``preset`` includes the options that differ from it.
    scores
        The trial's rows of the tidy table; empty where it was skipped.
    skipped
        Why the model cannot predict this study; empty where it can.
    cost
        Wall and CPU seconds and peak memory of the fit and of the prediction.
    summary
        What the fit reports of itself, in plain values.
    leaks
        Leaks that the plan declares.
    """

    section: str
    split: str
    model: str
    preset: str
    encoder: str
    seed: int
    scores: pd.DataFrame
    skipped: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    leaks: tuple[str, ...] = ()

    @property
    def record(self) -> dict[str, Any]:
        """Everything but the scores, as plain values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "scores"}
        return values | {"leaks": list(self.leaks)}


def trial_key(plan: Plan, trial: Trial, setup: Setup = Setup()) -> str:
    """Return a hash of everything that decides a trial's scores.

    ``setup`` has the files of weights: features of other weights are other features.
    """
    study = study_of(plan, trial)
    recipe = trial.recipe
    return fingerprint(
        _VERSION,
        [_fingerprint(section) for section in (study.target, *study.auxiliary)],
        study.target.name,
        # a choice with its names: a file of them may change under its name
        [study.split, GeneChoice.parse(plan.genes), plan.hvg_scope, trial.encoder, recipe.seed],
        [recipe.model, recipe.variant],
        recipe.build(),
        *([{"programs": [programs.fingerprint for programs in study.programs]}] if study.programs else []),
        *_encoder_options(trial, setup),
    )


def _encoder_options(trial: Trial, setup: Setup) -> list[object]:
    """Return what decides the features beside the encoder's name: width of the patch, and files of weights."""
    if not trial.encoder:
        return []
    names = [name for name in names_of(trial.encoder) if ENCODERS[name].reads_weights]
    files = {name: path for name in names if (path := setup.of(name).weights) is not None}
    hashes = {name: content_hash(path) if path.is_file() else str(path) for name, path in files.items()}
    # files of tiles have no weights: their content decides
    tiles = [load_encoder(name).fingerprint for name in names_of(trial.encoder) if name.startswith(FEATURES)]
    # nothing where nothing was chosen: trials that were finished before stay valid
    return [part for part in (trial.recipe.patch_um, hashes, tiles) if part]


@lru_cache(maxsize=8)
def _fingerprint(section: Section) -> str:
    """Return a section's fingerprint, computed once for all its trials."""
    return section.fingerprint


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """Schema of the file of everything but the scores."""

    section: str
    split: str
    model: str
    preset: str
    encoder: str
    seed: int
    skipped: str
    cost: dict[str, float]
    summary: dict[str, Any]
    leaks: tuple[str, ...]
    # of the table of scores
    scores: str


def is_done(folder: Path) -> bool:
    """Return whether ``folder`` has the result of a trial, as it was written; a damaged one is to be run again."""
    try:
        read_trial(folder)
    except DataError:
        return False
    return True


def write_trial(result: TrialResult, folder: Path) -> None:
    """Write a trial's result into ``folder``, whole or not at all."""
    with atomic_path(folder, own=holds_only(_SCORES, _RECORD)) as draft:
        draft.mkdir()
        result.scores.to_parquet(draft / _SCORES, index=False)
        content = result.record | {"scores": fingerprint_file(draft / _SCORES)}
        (draft / _RECORD).write_text(record_text(content), encoding="utf-8")


def read_trial(folder: Path) -> TrialResult:
    """Read what :func:`write_trial` wrote.

    Raises
    ------
    DataError
        When it is missing or damaged.
    """
    import pandas as pd

    record = read_record(folder / _RECORD, _Record, remedy=_REMEDY)
    path = folder / _SCORES
    if not path.is_file() or fingerprint_file(path) != record.scores:
        raise DataError(f"'{path}' is missing or damaged. {_REMEDY}")
    return TrialResult(**msgspec.structs.asdict(record) | {"scores": pd.read_parquet(path)})


def run_trial(
    plan: Plan, trial: Trial, compute: Compute = Compute(), *, pipeline: Pipeline = Pipeline.standard()
) -> TrialResult:
    """Audit, fit, predict and score.

    Raises
    ------
    DataError
        When the audit finds a leak that the plan does not declare.
    """
    import pandas as pd

    study, model = study_of(plan, trial), trial.recipe.build()
    labels = _labels(trial, study)
    if reason := _reason_to_skip(study, model):
        return TrialResult(**labels, scores=pd.DataFrame(), skipped=reason)
    inputs, panel = encode_study(study, trial.recipe, compute), panel_of(plan, trial)
    encoder_leaks = audit_encoder(study, trial.recipe, inputs, compute)
    fitted, leaks = None, encoder_leaks
    # models of other packages; the steps of another pipeline need the study
    if MODELS.is_plug_in(model.card.name) and pipeline == Pipeline.standard() and not encoder_leaks:
        fitted, leaks = _fit_separately(study, model, panel, inputs, runtime=compute.runtime())
    patients = patients_of(plan, trial)
    # a fit that was repeated at its full size needs no rehearsal
    rehearse = fitted is None or not fitted.is_short
    leaks += audit(study, model, inputs, pipeline=pipeline, panel=panel, patients=patients, rehearse=rehearse)
    _refuse(leaks, plan)
    if fitted is None:
        fitted = _fit(study, model, panel, inputs, pipeline=pipeline, runtime=compute.runtime())
    comparison, sets = _comparison(study, panel, fitted), _score_sets(study)
    _refuse(_ceiling_leaks(study, panel, model, fitted), plan)
    return TrialResult(
        **labels,
        scores=tidy(score(comparison, sets), panel.names, labels),
        cost=fitted.cost,
        # loss curves are long, and no score depends on them
        summary={name: value for name, value in fitted.summary.items() if not isinstance(value, list)},
        leaks=tuple(leak.message for leak in leaks),
    )


def gene_statistics(plan: Plan, trial: Trial) -> pd.DataFrame:
    """Return mean expression and noise ceiling of a study's genes: a row a gene, whichever model is scored."""
    import pandas as pd

    study, panel = study_of(plan, trial), panel_of(plan, trial)
    expression = log_cp10k(study.target.counts, columns=panel.columns)
    columns = tuple(panel.columns.tolist())
    ceiling, ceiling_given_depth = _ceilings(study.target, columns, trial.recipe.seed)
    frame = pd.DataFrame(
        {
            "gene": panel.names,
            "expression": np.asarray(expression.mean(axis=0), dtype=np.float64).ravel(),
            "ceiling": ceiling,
            "ceiling_given_depth": ceiling_given_depth,
        }
    )
    labels = _labels(trial, study)
    return frame.assign(**{name: labels[name] for name in ("section", "split", "seed")})[list(GENE_COLUMNS)]


@lru_cache(maxsize=8)
def _ceilings(section: Section, columns: tuple[int, ...], seed: int) -> tuple[Array, Array]:
    return noise_ceilings(section.counts, np.array(columns), seed=seed)


def _fit(
    study: Study, model: Model, panel: GenePanel, inputs: Inputs, *, pipeline: Pipeline, runtime: Runtime
) -> TrialFit:
    """Fit in this process, and predict at all spots of the target."""

    def fit() -> Predictor:
        samples = pipeline.gather_samples(study, panel, inputs)
        return pipeline.fit_model(study, model, samples, runtime)

    spots = inputs.take(np.arange(len(study.target)))
    return fit_and_predict(fit, spots, not len(study.training))


def _fit_separately(
    study: Study, model: Model, panel: GenePanel, inputs: Inputs, *, runtime: Runtime
) -> tuple[TrialFit, tuple[Leak, ...]]:
    """Fit in a process that is given the training spots and nothing else."""
    with TemporaryDirectory(prefix="histosge-", ignore_cleanup_errors=True) as folder:
        inputs = with_stored_patches(inputs, Path(folder))
        samples, spots = gather_samples(study, panel, inputs), inputs.take(np.arange(len(study.target)))
        return fit_separately(study, model, samples, spots, runtime=runtime)


@lru_cache(maxsize=2)
def _halves(study: Study, columns: tuple[int, ...]) -> Halves:
    return halves_of(sparse.csr_matrix(study.target.counts)[study.test], np.array(columns), seed=study.seed)


def _ceiling_leaks(study: Study, panel: GenePanel, model: Model, fitted: TrialFit) -> tuple[Leak, ...]:
    """Return a leak where a prediction explains the noise of the test spots."""
    excess = ceiling_excess(fitted.mean[study.test], _halves(study, tuple(panel.columns.tolist())))
    if not excess.certain:
        return ()
    message = (
        f"'{model.card.name}' scores above the noise ceiling of the test spots: it explains {excess.explained:.3f} of "
        f"their variance, and {excess.possible:.3f} can be explained without their counts. The model, the encoder, or "
        "another section that is fitted has been given them."
    )
    return (Leak("noise ceiling", message),)


def _refuse(leaks: tuple[Leak, ...], plan: Plan) -> None:
    """Stop at leaks; only genes chosen on all spots are a leak that a plan can declare."""
    undeclared = [leak for leak in leaks if not (leak.step == "gene panel" and plan.hvg_scope == "all")]
    if undeclared:
        raise DataError(f"Leak: {' '.join(leak.message for leak in undeclared)}")


def _reason_to_skip(study: Study, model: Model) -> str:
    """Return why a model cannot predict the target of a study, or nothing."""
    name = study.target.name
    if study.target.slide is None and model.uses_image:
        return f"'{name}' has no image."
    if not len(study.training) and model.uses_position and not model.uses_image:
        return f"'{model.card.name}' interpolates, and '{name}' has no training spots."
    within: Task = "sublattice" if study.split.startswith("sublattice") else "test_spots"
    return model.reason_against(within if len(study.training) else "new_section")


def _comparison(study: Study, panel: GenePanel, fitted: TrialFit) -> Comparison:
    """Return truth and prediction at all spots of the target."""
    from scipy.spatial import cKDTree

    section = study.target
    nearest = np.full(len(section), np.inf)
    if len(study.training):
        nearest = cKDTree(section.spots.xy[study.training]).query(section.spots.xy)[0]
    return Comparison(
        truth=log_cp10k(section.counts, columns=panel.columns).toarray(),
        prediction=fitted.mean,
        # intervals of a fit at the mean depth are not those of log1p(CP10k)
        sd=None if study.depth_adjusted else fitted.sd,
        counts=np.asarray(section.counts[:, panel.columns].toarray(), dtype=np.float64),
        depth=depth(section.counts),
        xy_um=section.spots.xy,
        # hundredths of µm are rounding: neighbours on a lattice are equally far
        nearest_um=nearest.round(1),
    )


def _score_sets(study: Study) -> dict[str, Array]:
    return {"test": study.test, "training": study.training, "pooled": np.arange(len(study.target))}


def _labels(trial: Trial, study: Study) -> dict[str, Any]:
    return {
        "section": study.target.name,
        "split": trial.split,
        "model": trial.recipe.model,
        "preset": trial.recipe.variant,
        "encoder": trial.encoder,
        "seed": trial.recipe.seed,
    }
