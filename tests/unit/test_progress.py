"""A bar of image features says how many locations a second are done; a stage has a single bar."""

from __future__ import annotations

import time

import pytest

from histosge.cli.screen import progress_bars


def test_every_encoder_has_its_own_rate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The rate of the second encoder has nothing of the first, which was slower; other stages have none."""
    with progress_bars() as progress:
        for name, pause in (("slow", 0.2), ("fast", 0.02)):
            for done in (10, 20, 30):
                progress(done, 30, f"2 of 6 · image features · {name}")
                time.sleep(pause)
        progress(1, 2, "3 of 6 · figures")
        progress(2, 2, "3 of 6 · figures")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    (features,) = [line for line in lines if "image features · fast" in line]
    rate = float(features.rsplit(maxsplit=1)[-1].removesuffix("/s"))
    # 20 locations in 0.04 s; with the first encoder's time it would be below 100
    assert 100 < rate <= 600
    assert not any("/s" in line for line in lines if "figures" in line)
