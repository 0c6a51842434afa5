"""What shrunken loadings are worth, against principal axes as they are, in cokriging on the same splits.

    python benchmarks/loadings.py ../shared/data/her2st/C2 ../shared/data/mob/MOB1 --seeds 0 1 2
    python benchmarks/loadings.py ../shared/data/her2st/C2 --split blocks

The other variant switches the shrinkage off (``shrink_loadings=False, gene_weight=0.25, residual_weight=0``): thirty
principal axes, and a quarter of the weight to genes kriged by themselves. Genes are chosen on the training spots. Means
over seeds of: correlation and squared error at test spots, correlation given depth (the log total count partialled
out), coverage of the 90 % intervals, reported less realised correlation, and processor time of the fit. Undefined
correlations count 0.
"""

from __future__ import annotations

import time

import numpy as np
from divided_section import arguments_of

import histosge as hs
from histosge.evaluation.study import Study, choose_genes, encode_study, gather_samples
from histosge.metrics.given_depth import partial_correlation
from histosge.metrics.intervals import coverage
from histosge.metrics.pearson import pearson
from histosge.models import predict
from histosge.section.expression import log_cp10k, log_depth

OFF = {"shrink_loadings": False, "gene_weight": 0.25, "residual_weight": 0.0}


def scores(section: hs.Section, split: str, seed: int, compute: hs.Compute) -> list[list[float]]:
    """Return the scores without and with the shrinkage on one split."""
    study = Study.of(section, split, seed=seed)
    panel, inputs = choose_genes(study), encode_study(study, hs.Recipe(), compute)
    training, test = gather_samples(study, panel, inputs), inputs.take(study.test)
    truth = log_cp10k(section.counts, columns=panel.columns)[study.test].toarray().astype(np.float64)
    depth = log_depth(np.asarray(section.counts[study.test].sum(axis=1)).ravel())
    rows = []
    for options in (OFF, {}):
        start = time.process_time()
        predictor = hs.Recipe(options=options).build().fit(training, seed=study.seed)
        seconds = time.process_time() - start
        prediction = predict(predictor, test)
        mean = prediction.mean.astype(np.float64)
        r = float(np.nan_to_num(pearson(truth, mean)).mean())
        rows.append(
            [
                r,
                float(((truth - mean) ** 2).mean()),
                float(np.nan_to_num(partial_correlation(truth, mean, depth)).mean()),
                float(coverage(truth, prediction.mean, prediction.sd, 0.9).mean()),
                float(np.nan_to_num(predictor.basis.r_loo).mean()) - r,
                seconds,
            ]
        )
    return rows


def main() -> None:
    parser = arguments_of(__doc__, seeds=[0, 1, 2])
    parser.add_argument("--split", default="random:0.5")
    arguments = parser.parse_args()
    print(
        "| section | r | change | MSE | change | given depth | change | coverage | reported − realised | time |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for path in arguments.sections:
        section, compute = hs.read(path), hs.Compute(store=arguments.store)
        off, on = np.mean(
            [scores(section, arguments.split, seed, compute) for seed in arguments.seeds], axis=0
        )
        cells = [f"{on[i]:.4f} | {on[i] / off[i] - 1:+.2%}" for i in range(3)]
        cells += [f"{off[3]:.3f}, {on[3]:.3f}", f"{off[4]:+.3f}, {on[4]:+.3f}", f"{on[5] / off[5]:.2f}"]
        print(f"| {path.parent.name}/{path.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
