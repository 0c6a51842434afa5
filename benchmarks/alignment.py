"""How much better real images fit their spots in the right orientation, and how many wrong orientations are refused.

python benchmarks/alignment.py ../shared/data/crc16 …
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from divided_section import arguments_of

import histosge as hs
from histosge.images.slide import SlideImage
from histosge.section.alignment import check_alignment


def refused_orientations(section: hs.Section) -> int:
    """Return how many of the seven wrong orientations of the image (rotated, mirrored) are refused."""
    assert section.slide is not None
    mpp = max(section.slide.mpp, 4.0)
    image, refused = section.slide.thumbnail(mpp), 0
    for orientation in range(1, 8):
        rotated = np.rot90(image, orientation % 4)
        rotated = rotated[:, ::-1] if orientation >= 4 else rotated
        slide = SlideImage.from_array(np.ascontiguousarray(rotated), mpp)
        refused += check_alignment(replace(section, slide=slide)).problem is not None
    return refused


def main() -> None:
    print("| section | refused | on tissue | lead | wrong orientations detected |\n|---|---|--:|--:|--:|")
    for path in arguments_of(__doc__).parse_args().sections:
        section = hs.read(path, trust_alignment=True)
        if section.slide is None:
            continue
        alignment = check_alignment(section)
        lead = "–" if alignment.margin is None else f"{alignment.margin:.2f}"
        cells = ["no" if alignment.problem is None else "yes", f"{alignment.on_tissue:.0%}", lead]
        cells.append(f"{refused_orientations(section)} of 7")
        print(f"| {section.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
