"""Correlation at training and at test spots after each epoch of each published system: which memorise, and when.

    python benchmarks/learning_curves.py ../shared/data/her2st/C2 --out runs/learning_curves
    python benchmarks/learning_curves.py --draw runs/learning_curves/*.json --figure docs/images/learning-curves.png

Half of the spots, drawn with ``--seed``, are fitted with each system's own number of epochs; after some 25 epochs,
about as many in each factor of two, all spots are predicted. Undefined correlations count 0. Curves are kept in
``--out``, one file a system, and not computed again. ``cokriging``, which has no epochs, is drawn as a line.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from divided_section import DividedSection, divide, mean_pcc

import histosge as hs
from histosge.models import predict
from histosge.models.base import Predictor, Runtime

SYSTEMS = (
    "histosge:published",
    "histosge:paper",
    "histosge:corrected",
    "feedforward",
    "gat",
    "stage:paper",
    "stage-plus",
    "thitogene:paper",
    "histogene:paper",
    "stnet:lite0",
    "deepspace:lite0",
)
# it would choose its epochs by folds, and predict eight orientations of each patch after each recorded epoch
OPTIONS: dict[str, dict[str, Any]] = {"stnet:lite0": {"folds": None, "averaged": False}}
REFERENCE = "cokriging"
Curve = dict[str, Any]


def recorded_epochs(last: int, points: int = 25) -> set[int]:
    """Return epochs from the first to the last, equally spaced on a logarithmic scale."""
    return {round(value) for value in np.geomspace(1, last, points)}


def curve_of(divided: DividedSection, name: str, seed: int) -> Curve:
    """Return a system's correlations by epoch; a system without epochs has one entry, epoch 0."""
    model = hs.Recipe.parse(name, OPTIONS.get(name)).build()
    rows: list[dict[str, float]] = []
    start = time.process_time()

    def record(epoch: int, predictor: Predictor) -> None:
        prediction = predict(predictor, divided.inputs).mean.astype(np.float64)
        halves = {"training": divided.study.training, "test": divided.study.test}
        scores = {
            half: mean_pcc(divided.expression[spots], prediction[spots]) for half, spots in halves.items()
        }
        everywhere = {"pooled": mean_pcc(divided.expression, prediction)}
        rows.append({"epoch": epoch} | scores | everywhere)

    last = getattr(model, "epochs", 0)
    recorded = recorded_epochs(last) if last else set()
    watch = Runtime(watch=lambda epoch, fitted: record(epoch, fitted) if epoch in recorded else None)
    predictor = model.fit(divided.training, seed=seed, runtime=watch)
    summary = predictor.summary()
    if not last or "epochs" not in summary:
        record(0, predictor)
        return {"model": name, "curve": rows}
    # early stopping takes the weights of an earlier epoch
    kept = int(summary["best_epoch"])
    rows = [row for row in rows if row["epoch"] != kept]
    record(kept, predictor)
    rows.sort(key=lambda row: row["epoch"])
    cost = {"kept": kept, "epochs": int(summary["epochs"]), "cpu_s": round(time.process_time() - start, 1)}
    return {"model": name, "curve": rows} | cost


def compute(arguments: argparse.Namespace) -> None:
    """Write the curve of each system that is not there yet."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    section = hs.read(arguments.section)
    for name in (REFERENCE, *arguments.models):
        path = arguments.out / f"{name.replace(':', '_')}.json"
        if path.exists():
            continue
        divided = divide(section, hs.Recipe.parse(name), seed=arguments.seed)
        identity = {"section": section.name, "seed": arguments.seed}
        path.write_text(json.dumps(identity | curve_of(divided, name, arguments.seed)) + "\n")
        print(path.read_text()[-300:], flush=True)


def table(curves: list[Curve]) -> str:
    """Return a table: training and test spots at the best epoch for test spots and at the last one."""
    lines = [
        "| system | epochs | training | test | pooled | best test | at epoch |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for curve in curves:
        rows = curve["curve"]
        best = max(rows, key=lambda row: row["test"])
        end = next(row for row in rows if row["epoch"] == curve.get("kept", 0))
        numbers = " | ".join(f"{end[key]:.3f}" for key in ("training", "test", "pooled"))
        epochs = f"{curve['kept']}" if "kept" in curve else "–"
        lines.append(f"| {curve['model']} | {epochs} | {numbers} | {best['test']:.3f} | {best['epoch']} |")
    return "\n".join(lines)


def draw(curves: list[Curve], path: Path) -> None:
    """Draw one panel a system: training spots, test spots, and the reference's test spots."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    reference = next(curve for curve in curves if curve["model"] == REFERENCE)["curve"][0]["test"]
    systems = [curve for curve in curves if curve["model"] != REFERENCE]
    columns = 3 if len(systems) in (1, 2, 3, 5, 6, 9) else 4
    rows = -(-len(systems) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(2.9 * columns, 2.75 * rows + 0.4),
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    for axis in axes.flat[len(systems) :]:
        axis.set_axis_off()
    for axis, curve in zip(axes.flat, systems, strict=False):
        epochs = [row["epoch"] for row in curve["curve"]]
        for key, colour, width in (("training", "#d55e00", 1.5), ("test", "#0072b2", 2.2)):
            values = [row[key] for row in curve["curve"]]
            axis.plot(epochs, values, color=colour, linewidth=width, label=f"{key} spots")
        axis.axhline(reference, color="#555555", linestyle=":", label=f"{REFERENCE}, test spots")
        if curve["kept"] < curve["epochs"]:
            axis.axvline(curve["kept"], color="#999999", linewidth=0.8, label="epoch kept by early stopping")
        axis.set(xscale="log", ylim=(-0.05, 1.03), title=curve["model"], xlabel="epoch")
        axis.title.set_fontsize(10)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel("mean correlation r")
    handles = {
        label: line
        for axis in axes.flat
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("section", nargs="?", type=Path)
    parser.add_argument("--models", nargs="+", default=list(SYSTEMS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("learning-curves"))
    parser.add_argument("--draw", nargs="+", type=Path, default=[], help="curves to draw and to tabulate")
    parser.add_argument("--figure", type=Path, default=Path("learning-curves.png"))
    arguments = parser.parse_args()
    if arguments.section is not None:
        compute(arguments)
    if arguments.draw:
        curves = [json.loads(path.read_text()) for path in arguments.draw]
        order = (REFERENCE, *SYSTEMS)
        curves.sort(key=lambda curve: order.index(curve["model"]) if curve["model"] in order else len(order))
        draw(curves, arguments.figure)
        print(table(curves))


if __name__ == "__main__":
    main()
