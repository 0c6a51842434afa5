"""Numbers that a rebuilding of the package must not change, measured on one section, with a hash of each array."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

import histosge as hs

GENES = "hvg:150"
# what fits in seconds; deep systems follow with sizes that fit a test, and few steps: Adam's have the size of the
# learning rate whatever the gradient, so that small gradients, which processors round differently, count in full
SIMPLE = ("kriging", "ridge", "pca-ridge", "boosting", "idw", "nearest", "mean", "memorisation")
POSITIONS = ("kriging", "idw", "nearest", "mean", "memorisation")
SMALL: dict[str, dict[str, Any]] = {
    "histosge": {"epochs": 3},
    "stage": {"epochs": 1},
    "stage-plus": {"epochs": 1, "crop_px": None, "batch": 64},
    "feedforward": {"epochs": 1, "crop_px": None, "batch": 16, "hidden": (64, 64)},
    "gat": {"epochs": 3, "crop_px": None, "window_size": 30, "heads": 2, "head_width": 16, "width": 32},
    "stnet": {"epochs": 2, "crop_um": 200.0, "batch": 16, "backbone": "test_resnet", "network_px": 32}
    | {"initialisation": "random"},
    "deepspace": {"epochs": 2, "crop_um": 200.0, "batch": 16, "backbone": "test_resnet", "network_px": 32}
    | {"initialisation": "random"},
    "histogene": {"epochs": 2, "crop_um": 200.0, "window_size": 16, "width": 64, "network_px": 16}
    | {"depth": 1, "heads": 2, "head_width": 8, "hidden": 32},
    "thitogene": {"epochs": 2, "crop_um": 200.0, "window_size": 16, "depth": 1, "heads": 2, "head_width": 8}
    | {"hidden": 32, "graph_heads": 2, "graph_hidden": 16, "graph_out": 16},
}
ARRAYS: dict[str, str] = {}


def numbers(name: str, values: Any) -> list[float]:
    """Mean, deviation, quantiles and a few entries, to six digits; the array's own bits go to ``ARRAYS``."""
    values = np.ascontiguousarray(values)
    ARRAYS[name] = hashlib.sha256(values.tobytes()).hexdigest()[:16]
    flat = values.astype(np.float64).ravel()
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return []
    some = flat[np.linspace(0, len(flat) - 1, 7).astype(int)]
    return [
        float(f"{v:.6g}") for v in (flat.mean(), flat.std(), *np.quantile(flat, [0.05, 0.5, 0.95]), *some)
    ]


def of_predictions(section: Any, label: str) -> dict[str, Any]:
    """Mean and standard deviation at upsampled locations, of each simple model."""
    names = SIMPLE if section.slide is not None else POSITIONS
    return {name: of_model(section, label, name, {}) for name in names}


def of_networks(section: Any, label: str) -> dict[str, Any]:
    """The same of each network; sums of networks depend on the number of threads, which is two here."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        return {name: of_model(section, label, name, options) for name, options in SMALL.items()}
    finally:
        torch.set_num_threads(threads)


def of_model(section: Any, label: str, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Mean and standard deviation at upsampled locations."""
    fitted = hs.fit(section, hs.Recipe(model=name, genes=GENES, options=options))
    prediction = hs.predict(fitted, section, hs.upsampled(section, 2))
    result = {"mean": numbers(f"{label}/{name}/mean", prediction.mean)}
    if prediction.sd is not None:
        result["sd"] = numbers(f"{label}/{name}/sd", prediction.sd)
    return result


def of_run(section: Any, label: str, out: Path, *, auxiliary: tuple[Any, ...] = ()) -> dict[str, Any]:
    """Everything that one run writes."""
    import anndata

    from histosge.workflow.outputs import Outputs

    # what else is written changes none of these numbers
    outputs = Outputs(figures=False, write_genes="fitted")
    record = hs.run(
        section,
        hs.Recipe(genes=GENES),
        target=hs.Target(upsample=2),
        out=out,
        outputs=outputs,
        auxiliary=auxiliary,
    ).as_dict()
    prediction, factors = (anndata.read_h5ad(out / f"{name}.h5ad") for name in ("prediction", "factors"))
    fit = record["fit"]
    found = {
        "shape": list(prediction.shape),
        "genes": list(prediction.var_names[:10]),
        "genes_shown": list(record["genes_shown"]),
        "locations": list(prediction.obs_names[:: max(1, len(prediction) // 7)]),
        "observed": int(prediction.obs["observed"].astype(bool).sum()),
        "mean": numbers(f"{label}/run/mean", prediction.X),
        "sd": numbers(f"{label}/run/sd", prediction.layers["sd"]),
        "measured": numbers(f"{label}/run/measured", prediction.layers["measured"].toarray()),
        "spatial": numbers(f"{label}/run/spatial", prediction.obsm["spatial"]),
        "spatial_um": numbers(f"{label}/run/spatial_um", prediction.obsm["spatial_um"]),
        "all_genes": factors.n_vars,
        "factor_scores": numbers(f"{label}/run/scores", factors.obsm["factor_scores"]),
        "factor_score_sd": numbers(f"{label}/run/score_sd", factors.obsm["factor_score_sd"]),
        "loadings": numbers(f"{label}/run/loadings", factors.varm["loadings"]),
        "image_weight": fit["image_weight"],
    }
    columns = {
        "offset": "offset",
        "noise_sd": "noise_sd",
        "calibration_factor": "calibration_factor",
        "r_loo": "r_loo",
    }
    columns |= {f"from_{name}": f"from_{name}" for name in ("position", "histology")}
    for name, column in columns.items():
        found[name] = numbers(f"{label}/run/{name}", factors.var[column])
    return found


def of_scores(path: Path, label: str, out: Path) -> dict[str, Any]:
    """Scores of the default model and the baselines at a random half of the spots."""
    import pandas as pd

    from histosge.evaluation.benchmark import benchmark
    from histosge.evaluation.plan import Plan, SectionSpec
    from histosge.workflow.recipe import Recipe

    models = (Recipe("cokriging"), Recipe("cokriging", "positions"))
    plan = Plan((SectionSpec(path, label),), models, seeds=(0,), genes=GENES)
    benchmark(plan, out)
    frame = pd.read_parquet(out / "scores.parquet")
    found: dict[str, Any] = {}
    for (model, preset, rows, metric), part in frame.groupby(
        ["model", "preset", "set", "metric"], observed=True
    ):
        key = " / ".join(word for word in (model, preset, rows, metric) if word)
        found[key] = numbers(f"{label}/scores/{key}", part.sort_values("gene")["value"].to_numpy())[:5]
    genes = pd.read_parquet(out / "genes.parquet").sort_values("gene")
    for metric in ("ceiling", "ceiling_given_depth", "expression"):
        key = f"pooled / {metric}"
        found[key] = numbers(f"{label}/scores/{key}", genes[metric].to_numpy())[:5]
    return found
