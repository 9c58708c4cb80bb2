"""Small settings for methods without labels, and one of them ready to step."""

import torch

from exemplar_training.fit.build import backbone_of, method_of
from exemplar_training.fit.distributed import World
from exemplar_training.fit.images import RunImages
from fit_runs import config
from training_images import squares

METHODS = ("simclr", "moco", "byol", "simsiam", "cpc")
# Heads of tens of numbers; parts of 4 images; a grid of 3 x 3 patches.
SMALL = {
    "augment__flip": False,
    "augment__crop": 1.0,
    "augment__color": 0.0,
    "simclr__hidden": 32,
    "simclr__dim": 16,
    "moco__queue": 16,
    "moco__splits": 2,
    "moco__dim": 16,
    "byol__hidden": 32,
    "byol__dim": 16,
    "simsiam__hidden": 8,
    "simsiam__dim": 32,
    "cpc__patch": 16,
    "cpc__dim": 16,
}


def ready(method, count=20, **changes):
    """The method in training mode, and its batches."""
    chosen = config(method=method, **SMALL | changes)
    backbone = backbone_of(chosen.model, chosen.seed)
    images = RunImages(squares(count), None)
    world = World(torch.device("cpu"))
    batches = images.batches(chosen, backbone.spec.input_size, world.shard)
    made = method_of(chosen, backbone, None, batches, world)
    made.train()
    return made, batches
