"""Whether the accuracy stated of a prediction from the image alone is true: each section in turn is the new one.

    python benchmarks/reported_accuracy_from_image.py ../shared/data/her2st/{C2,C4,C5}

The other sections are fitted together, and leave-one-section-out cross-validation of them states an r for each gene and
a coverage of the 90 % intervals. Both are compared with the new section, whose counts nothing else has read.
"""

from __future__ import annotations

import numpy as np
from divided_section import arguments_of

import histosge as hs
from histosge.metrics.intervals import coverage
from histosge.metrics.pearson import pearson
from histosge.section.expression import log_cp10k
from histosge.section.genes import GenePanel
from histosge.section.multi_section import SectionGroup
from histosge.workflow.leave_one_section_out import section_accuracy
from histosge.workflow.predict import predict_from_image


def row_of(new: hs.Section, others: list[hs.Section], recipe: hs.Recipe, compute: hs.Compute) -> list[float]:
    """Return stated and true mean r, and stated and true coverage after widening."""
    fit = hs.fit(others[0], recipe, auxiliary=others[1:], compute=compute)
    stated = section_accuracy(others, fit, compute=compute)
    if stated is None or stated.coverage is None:
        raise SystemExit("Expected at least three sections and a model with standard deviations.")
    prediction = predict_from_image(fit, new, hs.at_spots(new), compute=compute)
    columns = SectionGroup.of(others[0], [new]).columns_of(GenePanel(fit.panel.names, fit.panel.columns, ""))
    truth = log_cp10k(new.counts, columns=columns[1]).toarray()
    r = np.nan_to_num(pearson(truth, prediction.mean.astype(np.float64)))
    sd = np.asarray(prediction.sd) * np.array(stated.calibration_factor, dtype=np.float32)
    before = float(coverage(truth, prediction.mean, np.asarray(prediction.sd), 0.9).mean())
    after = float(coverage(truth, prediction.mean, sd, 0.9).mean())
    return [len(new), float(np.mean(stated.r)), float(r.mean()), stated.coverage, before, after]


def main() -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--store", help="folder for image features")
    parser.add_argument("--genes", default="hvg:1000")
    arguments = parser.parse_args()
    compute, recipe = hs.Compute(store=arguments.store), hs.Recipe(genes=arguments.genes)
    sections = [hs.read(path) for path in arguments.sections]
    heads = (
        "new section | spots | mean r: stated / true | difference | coverage: stated / true, after widening"
    )
    print(f"| {heads} |\n|---|--:|--:|--:|--:|")
    for new in sections:
        others = [section for section in sections if section is not new]
        spots, stated, true, covered, before, after = row_of(new, others, recipe, compute)
        cells = [f"{spots:.0f}", f"{stated:.3f} / {true:.3f}", f"{stated - true:+.3f}"]
        print(f"| {new.name} | {' | '.join(cells)} | {covered:.3f} / {before:.3f}, {after:.3f} |", flush=True)


if __name__ == "__main__":
    main()
