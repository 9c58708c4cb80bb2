"""How many copies of images are found as near-duplicates, and how many pairs without copies are.

PYTHONPATH=tests .venv/bin/python tests/bench/duplicates.py --data cifar10 --part train
"""

import argparse
import io
from pathlib import Path

import numpy as np
from embed import labelled_photos
from PIL import Image, ImageEnhance
from reports import add_out, tell

from exemplar_server.core.artifact import load_artifact
from exemplar_server.core.duplicates import SCALE_NEIGHBORS, near_duplicates
from exemplar_server.core.nearest import nearest_others
from exemplar_training.data.image_set import ImageSet
from exemplar_training.data.layout import DEFAULT_ROOT
from exemplar_training.evaluation.embeddings import by_artifact
from exemplar_training.evaluation.trial import images_of


def on_white(file):
    image = Image.open(io.BytesIO(file)).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    return white.convert("RGB")


def cropped(image):
    """Less 3 % of its shorter side, one pixel at least, off the right and the lower edge."""
    off = max(1, round(0.03 * min(image.size)))
    return image.crop((0, 0, image.width - off, image.height - off))


def smaller(image):
    return image.resize([round(0.9 * side) for side in image.size], Image.Resampling.BILINEAR)


COPIES = {
    "JPEG of quality 60": lambda image: (image, "JPEG", {"quality": 60}),
    "90 % of the size": lambda image: (smaller(image), "PNG", {}),
    "3 % cropped": lambda image: (cropped(image), "PNG", {}),
    "8 % lighter": lambda image: (ImageEnhance.Brightness(image).enhance(1.08), "PNG", {}),
}


def copied(file, kind):
    image, form, options = COPIES[kind](on_white(file))
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pairs_of(embeddings_ND):
    codes_N = np.zeros(len(embeddings_ND), np.int64)
    found = near_duplicates(nearest_others(embeddings_ND, SCALE_NEIGHBORS), codes_N)
    return set(zip(found.rows_P.tolist(), found.others_P.tolist(), strict=True))


def recall(embeddings_ND, copies_MD):
    """Copy m is of image m; each is alone among all images."""
    count = len(embeddings_ND)
    found = sum(
        (row, count) in pairs_of(np.concatenate([embeddings_ND, copy_D[None]]))
        for row, copy_D in enumerate(copies_MD)
    )
    return found / len(copies_MD)


def images(asked):
    if asked.data == "photos":
        files = labelled_photos()
        return ImageSet("photos", files, np.zeros(len(files), np.int64), ("photo",))
    parts = [asked.part] if asked.part else None
    found = images_of(asked.data, DEFAULT_ROOT.expanduser(), parts)
    return found.of(np.random.default_rng(0).permutation(len(found))[: asked.count])


def report(asked):
    originals = images(asked)
    count = min(asked.copies, len(originals))
    artifact = load_artifact(asked.backbone)
    embeddings_ND = by_artifact(artifact, originals, asked.data)
    rows = [
        f"{asked.data}, {len(originals):,} images: {len(pairs_of(embeddings_ND))} pairs as they are"
    ]
    for kind in COPIES:
        files = [copied(originals.files[row], kind) for row in range(count)]
        copies = ImageSet(kind, files, np.zeros(len(files), np.int64), ("copy",))
        share = recall(embeddings_ND, by_artifact(artifact, copies, kind))
        rows.append(f"{kind}: {100 * share:.0f} % of {count} copies found")
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, default=Path("build/backbones/lite0/1"))
    parser.add_argument("--data", default="photos", help="a fetched set; photos: foolbox's")
    parser.add_argument("--part", default="")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=100)
    add_out(parser)
    asked = parser.parse_args()
    tell(report(asked), asked.out)


if __name__ == "__main__":
    main()
