"""How often the warning of exchanged red and blue is right, on images whose order of channels is known.

``python benchmarks/channel_order.py DATA``, where DATA holds the real sections: each image is checked as it is, and
with red and blue exchanged.
"""

from __future__ import annotations

import sys
from pathlib import Path

from histosge.images.appearance import appearance_messages
from histosge.images.slide import SlideImage, open_slide

IMAGES = {
    "crc16/spatial/tissue_hires_image.png": 4.52,
    "crc16/spatial/tissue_lowres_image.png": 15.1,
    "dlpfc/151673/spatial/tissue_lowres_image.png": 16.1,
    "dlpfc/151674/spatial/tissue_lowres_image.png": 16.1,
    "mouse_brain_dg/spatial/tissue_hires_image.png": 4.26,
    "her2st/C2/image.jpg": 0.689,
    "her2st/C4/image.jpg": 0.686,
    "her2st/C5/image.jpg": 0.686,
    "mob/MOB1/image.jpg": 4.37,
    "mob/MOB2/image.jpg": 4.37,
    "xenium_breast_rep1/he.png": 10.7,
    "visium_hd_crc_crop/hdvisium/binned_outputs/square_016um/spatial/tissue_lowres_image.png": 34.0,
    "odd/mouse_brain_49_spots_lognorm/test_img.jpg": 0.615,
    "odd/cytassist_mouse_embryo/spatial/tissue_lowres_image.png": 23.3,
}


def warned(slide: SlideImage) -> bool:
    """Return whether the warning is given."""
    return any("BGR" in message.text for message in appearance_messages(slide, "image"))


def main() -> None:
    """Print whether the warning is given for each image, and for the same with red and blue exchanged."""
    print(f"{'image':60} as it is   exchanged")
    for name, mpp in IMAGES.items():
        slide = open_slide(Path(sys.argv[1]) / name, mpp=mpp)
        exchanged = SlideImage.from_array(slide.thumbnail(max(8.0, mpp))[..., ::-1], max(8.0, mpp))
        print(f"{name:60} {warned(slide)!s:10} {warned(exchanged)!s}")


if __name__ == "__main__":
    main()
