"""What cokriging says where there is nothing to find: wrong images, exchanged expression, noise genes, damaged images.

    python benchmarks/nothing_to_find.py ../shared/data/her2st/C2 ../shared/data/mob/MOB1 synthetic:120 --seeds 0 1 2

Half of the spots are fitted, the other half is predicted. The section as it is comes first, then each condition:

* *other image*: of the next section given (of a synthetic section: of another synthetic one); *mirrored image*;
  *uniform image*: one colour; *shuffled image*: each spot has the patch of another;
* *exchanged expression*: each spot has the counts of another, so that there is no pattern;
* *noise genes*: 200 genes are added whose counts are Poisson noise, half of them in proportion to the depth;
* *ink*: pen marks over a sixth of the width; *fold*: as wide a band, dark and shifted; *stain*: the right half is
  redder and paler.

Columns are means over the seeds: the image weight (highest of the seeds in brackets), r over genes at the other half
with the image and without it, r as reported, genes graded strong or fair, coverage of 90 % intervals as stated and at
the other half, width of the intervals relative to the section as it is. Beside ink and folds also the coverage in
their band, which the section as it is has too; of the noise genes, how many have a grade.

``--resolution`` counts instead the genes that have an effective resolution. ``--exchanges 60``
prints instead how far the image raises the log likelihood, and how far by chance: with expression exchanged 60 times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from divided_section import DividedSection, arguments_of, mean_pcc
from reported_accuracy import section_of
from scipy import sparse

import histosge as hs
from histosge.evaluation.study import Study, choose_genes, encode_study, gather_samples
from histosge.images.slide import SlideImage
from histosge.metrics.intervals import coverage
from histosge.models import predict
from histosge.section.expression import log_cp10k
from histosge.section.genes import select
from histosge.section.inputs import Samples

# noise genes; their names begin with NOISE
NOISE_GENES, NOISE = 200, "NOISE"
# share of the image's width that ink and folds cover
BAND = 1 / 6
# a purple as pale as stained tissue, and the ink of a marker pen
TISSUE_RGB, INK_RGB = (205, 160, 195), (25, 30, 90)
# optical densities are multiplied by this in the half of another stain: redder and paler
STAIN = (0.6, 0.85, 0.5)


@dataclass(frozen=True)
class Condition:
    """A section that was changed, and the spots that ink or a fold would cover; ``None``: they are of no interest."""

    section: hs.Section
    damaged: np.ndarray | None = None
    shuffled: bool = False


@dataclass(frozen=True)
class Outcome:
    """What was said in one condition with one seed, and what is so."""

    weight: float
    r: float
    r_without_image: float
    reported: float
    graded: int
    genes: int
    stated: float
    covered: float
    sd: float
    covered_damaged: float
    graded_noise: int


def pixels(slide: SlideImage) -> np.ndarray:
    """Return the whole image."""
    height, width = slide.backend.shapes[0]
    return np.array(slide.backend.read(0, (0, 0), (width, height)))


def band(section: hs.Section) -> tuple[float, float]:
    """Return the left and right end of a vertical band through the middle of the tissue, µm."""
    x = section.spots.xy[:, 0]
    half = BAND * (x.max() - x.min()) / 2
    middle = float(np.median(x))
    return middle - half, middle + half


def with_image(section: hs.Section, change: Callable[[np.ndarray, slice], np.ndarray]) -> hs.Section:
    """Return the section with its pixels changed; ``change`` is given the columns of the band."""
    slide = section.slide
    left, right = (round(end / slide.mpp) for end in band(section))
    image = change(pixels(slide), slice(left, right))
    return replace(section, slide=SlideImage.from_array(image, slide.mpp))


def inked(image: np.ndarray, columns: slice) -> np.ndarray:
    """Draw diagonal strokes of a pen over the columns."""
    row, column = np.ogrid[: image.shape[0], columns]
    step = max((columns.stop - columns.start) // 4, 2)
    image[:, columns][(row + column) % step < 0.7 * step] = INK_RGB
    return image


def folded(image: np.ndarray, columns: slice) -> np.ndarray:
    """Lay the tissue beside the columns over them: light passes two layers."""
    width = columns.stop - columns.start
    below, above = image[:, columns] / 255, np.roll(image, width, axis=1)[:, columns][:, ::-1] / 255
    image[:, columns] = np.rint(255 * below * above).astype(np.uint8)
    return image


def restained(image: np.ndarray, columns: slice) -> np.ndarray:
    """Stain everything right of the middle differently."""
    part = image[:, (columns.start + columns.stop) // 2 :]
    part[:] = np.rint(255 * (part / 255) ** np.array(STAIN)).astype(np.uint8)
    return image


def with_noise_genes(section: hs.Section, seed: int) -> hs.Section:
    """Add genes of Poisson noise, between 0.1 and 10 counts a spot; every other one in proportion to the depth."""
    rng = np.random.default_rng(seed)
    depth = np.asarray(section.counts.sum(axis=1)).ravel()
    rates = np.exp(rng.uniform(np.log(0.1), np.log(10), NOISE_GENES))
    shape = np.where(np.arange(NOISE_GENES) % 2, (depth / depth.mean())[:, None], 1.0)
    noise = sparse.csr_matrix(rng.poisson(rates * shape).astype(np.float64))
    names = np.array([f"{NOISE}{number}" for number in range(NOISE_GENES)])
    return replace(
        section,
        counts=sparse.hstack([section.counts, noise]).tocsr(),
        genes=np.concatenate([section.genes, names]),
        gene_ids=np.concatenate([section.gene_ids, names]),
    )


def conditions(section: hs.Section, other: SlideImage, seed: int) -> dict[str, Callable[[], Condition]]:
    """Return what makes each condition of a section, by name."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(section))
    left, right = band(section)
    x = section.spots.xy[:, 0]
    damaged = np.flatnonzero((x >= left) & (x <= right))
    uniform = np.full((512, 512, 3), TISSUE_RGB, dtype=np.uint8)
    uniform_slide = SlideImage.from_array(uniform, max(section.slide.size_um) / 512)

    def mirrored(image: np.ndarray, _: slice) -> np.ndarray:
        return image[:, ::-1]

    return {
        "as it is": lambda: Condition(section, damaged),
        "other image": lambda: Condition(replace(section, slide=other)),
        "shuffled image": lambda: Condition(section, shuffled=True),
        "mirrored image": lambda: Condition(with_image(section, mirrored)),
        "uniform image": lambda: Condition(replace(section, slide=uniform_slide)),
        "exchanged expression": lambda: Condition(replace(section, counts=section.counts[order])),
        "noise genes": lambda: Condition(with_noise_genes(section, seed)),
        "ink": lambda: Condition(with_image(section, inked), damaged),
        "fold": lambda: Condition(with_image(section, folded), damaged),
        "stain": lambda: Condition(with_image(section, restained)),
    }


def without_noise(section: hs.Section) -> hs.Section:
    """Return the section without its noise genes."""
    kept = ~is_noise(section.genes)
    genes, gene_ids = section.genes[kept], section.gene_ids[kept]
    return replace(section, counts=section.counts[:, kept], genes=genes, gene_ids=gene_ids)


def is_noise(genes: np.ndarray) -> np.ndarray:
    """Tell which genes are the noise genes."""
    return np.char.startswith(np.asarray(genes, dtype=str), NOISE)


def divided(condition: Condition, genes: str, seed: int, compute: hs.Compute) -> DividedSection:
    """Divide the spots in halves; the noise genes are fitted too, beside the variable genes of the others."""
    section = condition.section
    study = Study.of(section, genes=genes, seed=seed)
    noise = section.genes[is_noise(section.genes)]
    if len(noise):
        chosen = choose_genes(replace(study, target=without_noise(section))).names
        study = replace(study, genes=[str(name) for name in (*chosen, *noise)])
    panel = choose_genes(study)
    inputs = encode_study(study, hs.Recipe(), compute)
    if condition.shuffled:
        order = np.random.default_rng(seed).permutation(len(section))
        inputs = replace(inputs, features=np.asarray(inputs.features[:])[order])
    expression = log_cp10k(section.counts, columns=panel.columns).toarray()
    return DividedSection(study, inputs, gather_samples(study, panel, inputs), expression)


def outcome(condition: Condition, *, genes: str, seed: int, compute: hs.Compute) -> Outcome:
    """Fit half of the spots, and compare what is said with the other half."""
    half = divided(condition, genes, seed, compute)
    predictor = hs.Recipe().build().fit(half.training, seed=seed)
    summary, basis, prediction = predictor.summary(), predictor.basis, predict(predictor, half.test)
    noise = is_noise(half.training.genes)
    graded = np.isin(np.asarray(basis.grade), ("strong", "fair"))
    stated = summary["calibration"]
    # r and intervals are those of the genes that are not noise
    truth, mean, sd = (part[:, ~noise] for part in (half.truth, prediction.mean, prediction.sd))
    inside = coverage(truth, mean, sd, 0.9)
    damaged = np.isin(half.study.test, [] if condition.damaged is None else condition.damaged)
    under = coverage(truth[damaged], mean[damaged], sd[damaged], 0.9).mean() if damaged.any() else np.nan
    return Outcome(
        weight=summary["image_weight"],
        r=mean_pcc(truth, mean.astype(np.float64)),
        r_without_image=mean_pcc(truth, half.predict(hs.Recipe(preset="positions"))[:, ~noise]),
        reported=float(np.nan_to_num(basis.r_loo[~noise]).mean()),
        graded=int(graded[~noise].sum()),
        genes=int((~noise).sum()),
        stated=dict(zip(stated["levels"], stated["coverage"], strict=True))[0.9],
        covered=float(inside.mean()),
        sd=float(sd.mean()),
        covered_damaged=float(under),
        graded_noise=int(graded[noise].sum()),
    )


def known(condition: Condition, *, genes: str, seed: int, compute: hs.Compute) -> str:
    """Return how many genes, and how many noise genes, have an effective resolution at all; of a fit to all spots."""
    section = condition.section
    noise = [str(name) for name in section.genes[is_noise(section.genes)]]
    chosen = [str(name) for name in select(without_noise(section), genes).names]
    fitted = hs.fit(section, hs.Recipe(genes=[*chosen, *noise], seed=seed), compute=compute)
    resolution = hs.effective_resolution(fitted, section, seed=seed, compute=compute)
    finite = np.isfinite(resolution.resolution_um)
    of_noise = is_noise(resolution.genes)
    text = f"{finite[~of_noise].sum()} of {len(chosen)}"
    return text + (f"; {finite[of_noise].sum()} of {len(noise)} noise genes" if noise else "")


def gains_by_chance(section: hs.Section, *, genes: str, exchanges: int, compute: hs.Compute) -> str:
    """Return the gain in log likelihood of the image, and the largest ones with the training spots exchanged."""
    half = divided(Condition(section), genes, 0, compute)

    def gain(samples: Samples, seed: int) -> float:
        logs = hs.Recipe().build().fit(samples, seed=seed).summary()["log_marginal_likelihood"]
        return float(max(logs.values()) - logs["0"])

    gains = []
    for number in range(exchanges):
        order = np.random.default_rng(100 + number).permutation(len(half.training))
        expression, depth = half.training.expression[order], half.training.depth[order]
        gains.append(gain(replace(half.training, expression=expression, depth=depth), number))
    largest = ", ".join(f"{value:.1f}" for value in sorted(gains, reverse=True)[:4])
    return f"{len(half.training)} spots: gain {gain(half.training, 0):.1f}; exchanged {exchanges} times: {largest} …"


def line(name: str, outcomes: list[Outcome], usual_sd: float) -> str:
    """Return one row of the table."""

    def mean(field: str) -> float:
        return float(np.mean([getattr(part, field) for part in outcomes]))

    weights = [part.weight for part in outcomes]
    cells = [name, f"{np.mean(weights):.2f} ({max(weights):g})"]
    cells += [f"{mean('r'):.3f} / {mean('r_without_image'):.3f}", f"{mean('reported'):.3f}"]
    cells += [f"{mean('graded'):.0f} of {mean('genes'):.0f}"]
    cells += [f"{mean('stated'):.3f} / {mean('covered'):.3f}", f"{mean('sd') / usual_sd:.2f}"]
    further = ""
    if name == "noise genes":
        further = f"{mean('graded_noise'):.1f} of {NOISE_GENES} noise genes have a grade"
    elif np.isfinite(mean("covered_damaged")):
        further = f"coverage in the band {mean('covered_damaged'):.3f}"
    return f"| {' | '.join([*cells, further])} |"


def other_slide(texts: list[str], index: int) -> SlideImage:
    """Return the image of the next section, or of another synthetic tissue."""
    name, _, spots = texts[index].partition(":")
    if name == "synthetic":
        return section_of(f"synthetic:{int(spots) + 7}").slide
    real = [text for text in texts if not text.startswith("synthetic:")]
    if len(real) == 1:
        return section_of("synthetic:600").slide
    return section_of(real[(real.index(texts[index]) + 1) % len(real)]).slide


def table(
    section: hs.Section, other: SlideImage, names: Sequence[str] | None, seeds: Sequence[int], **options: Any
) -> Iterator[str]:
    """Yield the rows of a section."""
    usual_sd = None
    for name in conditions(section, other, 0):
        if names and name not in ("as it is", *names):
            continue
        outcomes = [outcome(conditions(section, other, seed)[name](), seed=seed, **options) for seed in seeds]
        usual_sd = usual_sd or float(np.mean([part.sd for part in outcomes]))
        yield line(name, outcomes, usual_sd)


def main() -> None:
    parser = arguments_of(__doc__, seeds=[0, 1, 2])
    parser.add_argument("--genes", default="hvg:1000")
    parser.add_argument("--conditions", nargs="+", help="some of the conditions only")
    parser.add_argument(
        "--resolution", action="store_true", help="count genes with an effective resolution instead"
    )
    parser.add_argument("--exchanges", type=int, help="print gains in likelihood by chance instead")
    arguments = parser.parse_args()
    texts = [str(text) for text in arguments.sections]
    heads = ["condition", "image weight (most)", "r: with / without image", "reported r", "strong or fair"]
    heads += ["coverage: stated / true", "width", ""]
    options = {"genes": arguments.genes, "compute": hs.Compute(store=arguments.store)}
    for index, text in enumerate(texts):
        section = section_of(text)
        if arguments.exchanges:
            print(text, gains_by_chance(section, exchanges=arguments.exchanges, **options), flush=True)
            continue
        other = other_slide(texts, index)
        if arguments.resolution:
            for seed in arguments.seeds:
                for name, make in conditions(section, other, seed).items():
                    # an effective resolution reads the image at new locations, where nothing can be shuffled
                    if name != "shuffled image" and name in (arguments.conditions or [name]):
                        counts = known(make(), seed=seed, **options)
                        print(f"| {text} {seed} | {name} | {counts} |", flush=True)
            continue
        print(f"\n{text}\n\n| {' | '.join(heads)} |\n|---|{'--:|' * (len(heads) - 2)}---|", flush=True)
        for row in table(section, other, arguments.conditions, arguments.seeds, **options):
            print(row, flush=True)


if __name__ == "__main__":
    main()
