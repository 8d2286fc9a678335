"""Makes the README's animation from a video of ``handful evaluate --video``.

Usage: ``python docs/video_to_gif.py evaluation.mp4 docs/images/block-lifting.gif --fraction 1 0.5``.
"""

from __future__ import annotations

import argparse
import pathlib

import av
from PIL import Image


def main() -> None:
    """Take every other frame of the grid's first cells, at half the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=pathlib.Path)
    parser.add_argument("gif", type=pathlib.Path)
    parser.add_argument(
        "--fraction", type=float, nargs=2, default=(1.0, 1.0), help="fractions of width and height to keep"
    )
    parser.add_argument("--width", type=int, default=720, help="width of the picture [px]")
    options = parser.parse_args()
    frames = []
    with av.open(str(options.video)) as container:
        rate = float(container.streams.video[0].average_rate or 20)
        for number, frame in enumerate(container.decode(video=0)):
            if number % 2 == 0:
                image = frame.to_image()
                image = image.crop(
                    (0, 0, int(options.fraction[0] * image.width), int(options.fraction[1] * image.height))
                )
                height = round(options.width * image.height / image.width)
                frames.append(image.resize((options.width, height), Image.Resampling.LANCZOS))
    palette = frames[len(frames) // 2].quantize(255)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    options.gif.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(
        options.gif, save_all=True, append_images=frames[1:], duration=round(2000 / rate), loop=0, optimize=True
    )


if __name__ == "__main__":
    main()
