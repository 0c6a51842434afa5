"""By how much real images fit better the right way round than turned, and how many wrong ways are found out.

python benchmarks/alignment.py ../shared/data/crc16 …
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import histosge
from histosge.images.slide import SlideImage
from histosge.section.alignment import check


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="+", type=Path)
    for path in parser.parse_args().sections:
        section = histosge.read(path, trust_alignment=True)
        if section.slide is None:
            continue
        mpp = max(section.slide.mpp, 4.0)
        image = section.slide.thumbnail(mpp)
        caught = 0
        for turn in range(8):
            turned = np.rot90(image, turn % 4)
            turned = turned[:, ::-1] if turn >= 4 else turned
            if turn:
                slide = SlideImage.from_array(np.ascontiguousarray(turned), mpp)
                caught += check(replace(section, slide=slide)).problem is not None
        found = check(section)
        print(
            f"{section.name:16s} {found.summary}; refused: {found.problem is not None}; {caught} of 7 turns found out"
        )


if __name__ == "__main__":
    main()
