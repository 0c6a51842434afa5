"""A report in a real browser, for the tests of what it shows and of what can be done with it."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import histosge as hs
from histosge.datasets import synthetic
from histosge.io.writers import factors
from histosge.prediction.factored import Basis, FactoredPrediction
from histosge.report import write
from histosge.section.expression import log_cp10k

CHROMIUM = os.environ.get("HISTOSGE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECTION = synthetic(columns=14, rows=14, genes=40).section
SIZE = {"width": 1280, "height": 860}


def factored(section: hs.Section, fold: int = 4) -> FactoredPrediction:
    """A prediction with patterns of the truth's size: four smooth factor scores, loadings from the counts."""
    locations = hs.upsampled(section, fold)
    values = log_cp10k(section.counts).toarray()
    waves = np.linspace(600, 2400, 4)
    scores = np.column_stack([np.sin(locations.xy @ (np.array([1, 0.5]) * 6.28 / wave)) for wave in waves])
    rng = np.random.default_rng(3)
    g = len(section.genes)
    basis = Basis(
        section.genes,
        values.mean(axis=0),
        rng.normal(0, 0.5, (g, 4)),
        np.full(g, 0.4),
        np.full(g, 1.15),
        np.where(np.arange(g) == 5, np.nan, rng.uniform(-0.1, 0.9, g)),
    )
    return FactoredPrediction(locations, basis, scores, rng.gamma(4, 0.05, (len(locations), 4)))


PREDICTION = factored(SECTION)


def record(section: hs.Section) -> dict[str, Any]:
    return {
        "section": {
            "name": "synthetic",
            "platform": "synthetic",
            "spots": len(section),
            "genes": len(section.genes),
            "pitch_um": section.pitch_um,
            "mpp": section.mpp,
            "fingerprint": section.fingerprint,
        },
        "model": {"name": "cokriging", "uses_image": True, "uses_position": True},
        "genes": [str(name) for name in section.genes],
        "fit": {"calibration": {"levels": [0.5, 0.9], "raw": [0.6, 0.94], "coverage": [0.48, 0.91]}},
        "messages": [{"level": "warning", "text": "At 16.1 µm per pixel a 55 µm spot is 3.4 pixels across."}],
    }


def run_folder(path: Path, section: hs.Section, prediction: FactoredPrediction) -> Path:
    path.mkdir(exist_ok=True)
    factors.write(path / "factors.h5ad", section, prediction)
    (path / "run.json").write_text(json.dumps(record(section)))
    return path


def with_domains(path: Path) -> Path:
    """A run's folder with domains and a report."""
    run_folder(path, SECTION, PREDICTION)
    labels = (PREDICTION.scores[:, 0] > 0).astype(int)
    rows = "".join(
        f"{name}\t{'in' if label else 'out'}\n"
        for name, label in zip(PREDICTION.locations.points.ids, labels, strict=True)
    )
    (path / "domains.tsv").write_text("location\tkmeans\n" + rows)
    write(path, section=SECTION)
    return path


@dataclass
class Opened:
    """A page, its console messages and its requests."""

    page: Any
    messages: list[str]
    requests: list[str]

    def box(self, selector: str) -> dict[str, float]:
        found = self.page.locator(selector).bounding_box()
        assert found, selector
        return found

    def choose(self, gene: str) -> None:
        self.page.evaluate("(gene) => histosge.update({ row: histosge.genes.indexOf(gene) })", gene)

    def until(self, condition: str) -> None:
        """Wait until an expression is true; the page's content policy forbids what playwright waits with."""
        for _ in range(200):
            if self.page.evaluate(condition):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(condition)

    def painted(self, layer: str = "main") -> np.ndarray:
        text = self.page.evaluate(f"document.querySelector('#layer-{layer} canvas').toDataURL()")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.split(",")[1]))))

    def seen(self, **clip: float) -> np.ndarray:
        box = self.page.locator("#stage").bounding_box()
        clip = {**clip, "x": box["x"] + clip["x"], "y": box["y"] + clip["y"]}
        return np.asarray(Image.open(io.BytesIO(self.page.screenshot(clip=clip))).convert("RGB")).astype(
            float
        )

    def at(self, xy_um: np.ndarray) -> tuple[float, float]:
        """Return the pixel of the page at a location."""
        box = self.page.locator("#stage").bounding_box()
        origin = np.array(self.page.evaluate("histosge.about.frame.origin"))
        x, y = self.page.evaluate("([x, y]) => histosge.stage.toPixels(x, y)", (xy_um - origin).tolist())
        return box["x"] + x, box["y"] + y

    def point(self, xy_um: np.ndarray) -> dict[str, str]:
        """Point at a location; return what the page says of it."""
        self.page.mouse.move(*self.at(xy_um))
        words = self.page.locator("#tip").inner_text().split("\n")
        return dict(zip(words[::2], words[1::2], strict=True))

    def stated(self, term: str) -> float:
        """Return the precision that the page states of something."""
        text = self.page.locator(f"#about-run dt:text-is('{term}') + dd").text_content()
        found = re.search(r"within ([\d.e-]+)", text)
        assert found
        return float(found.group(1))


def opened(browser: Any, path: Path, **options: Any) -> Opened:
    context = browser.new_context(**{"viewport": SIZE, "accept_downloads": True, **options})
    found = Opened(context.new_page(), [], [])
    found.page.on("console", lambda message: found.messages.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.messages.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(path.as_uri())
    found.page.wait_for_selector("body[data-ready]")
    found.page.wait_for_timeout(300)
    return found


def shown_locations() -> np.ndarray:
    """Rows of locations that have a measured spot all around, away from the page's cards."""
    xy = PREDICTION.locations.xy
    low, high = np.quantile(xy, 0.3, axis=0), np.quantile(xy, 0.7, axis=0)
    return np.flatnonzero(((xy > low) & (xy < high)).all(axis=1))
