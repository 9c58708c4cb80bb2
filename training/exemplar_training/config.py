"""What a training run is told: frozen dataclasses, a TOML table each.

`config_file.py` reads and writes them. An empty string and a 0 mean "none" or "the backbone's own"
where a comment says so, as TOML has no null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from exemplar_training.errors import ConfigError
from exemplar_training.layerwise.checks import check_stack
from exemplar_training.self_supervised.checks import check_views

Trained = Literal["head", "last_block", "all"]
Precision = Literal["fp32", "bf16", "fp16"]
LEAST, MOST = "least", "most"
# Domain adaptation from the target's images alone; what it starts from has learned the classes.
SOURCE_FREE = ("adabn", "shot", "tent")
# And from the source's labelled and the target's unlabelled images in each step.
TWO_DOMAINS = ("coral", "mmd", "dann", "cdan", "mcc")
NEIGHBORS = "neighbors"  # from images without labels, and no classes at all
# The same, and the backbone itself learns.
SELF_SUPERVISED = ("simclr", "moco", "byol", "simsiam", "cpc")
# The last layer of a stack learns from what the layers below it say; then all, unrolled.
StageName = Literal["rbm", "autoencoder", "denoising"]
MethodName = Literal[
    "supervised",
    "coral",
    "mmd",
    "dann",
    "cdan",
    "mcc",
    "adabn",
    "shot",
    "tent",
    "neighbors",
    "simclr",
    "moco",
    "byol",
    "simsiam",
    "cpc",
    StageName,
    "unrolled",
]


def _within(default: float, least: float, most: float = float("inf")) -> Any:
    """A number's field with its range, both ends included; `config_file.py` checks it."""
    return field(default=default, metadata={LEAST: least, MOST: most})


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how many at once."""

    root: str = ""  # a folder; empty with a name: where `exemplar-train data fetch` puts sets
    name: str = ""  # a data set inside `root`; empty: `root` has a folder for each class
    parts: tuple[str, ...] = ()  # of the data set; empty: all
    classes: tuple[str, ...] = ()  # by their names, in this order; empty: all
    n_shot: int = _within(0, 0)  # images of each class, of all unlabelled ones, by seed; 0: all
    batch: int = _within(64, 1)  # images a step, over all processes
    workers: int = _within(2, 0)  # threads that decode ahead


@dataclass(frozen=True)
class AugmentConfig:
    """How images are varied; the defaults leave them alone. No flips where writing is read."""

    flip: bool = False  # left to right, every second image
    crop: float = _within(1.0, 0.01, 1.0)  # the least share of the area that a crop keeps
    color: float = _within(0.0, 0.0, 1.0)  # brightness, contrast, saturation times 1 +- color
    invert: bool = False  # dark for light, every second image


@dataclass(frozen=True)
class ModelConfig:
    """The backbone, what it starts from and which part of it learns."""

    backbone: str = "small_cnn"
    weights: str = ""  # a weights file; empty: the published ones, where there are some
    init: str = ""  # a run whose backbone to start from
    input_size: int = _within(0, 0)  # pixels a side; 0: the backbone's own
    dim: int = _within(0, 0)  # of small_cnn; 0: its own
    widths: tuple[int, ...] = ()  # of the layers of mlp or convnet; the last one is the dim
    has_linear_code: bool = False  # of mlp: the last layer without its sigmoid
    pooled: tuple[str, ...] = ()  # BLOCK:POOLING, such as "0:above" of pooling.py; empty: its own
    adapter: int = _within(0, 0)  # dim of a last block that is put on the embedding; 0: none
    adapter_width: int = _within(0, 0)  # of a hidden layer in the adapter; 0: there is none
    trained: Trained = "all"
    layer_decay: float = _within(1.0, 0.01, 1.0)  # a block's rate over that of the block after it


@dataclass(frozen=True)
class SupervisedConfig:
    """The head of supervised training."""

    classifier: Literal["linear", "cosine"] = "linear"
    label_smoothing: float = _within(0.0, 0.0, 0.99)
    turned: bool = False  # an image turned by 0, 1, 2 or 3 quarters is of a class of its own each


@dataclass(frozen=True)
class AdaptationConfig:
    """What methods of domain adaptation ask beside the optimizer's settings."""

    weight: float = _within(1.0, 0.0)  # of the loss between the domains; of shot's pseudo-labels
    relabel_steps: int = _within(50, 1)  # how often shot computes its pseudo-labels


@dataclass(frozen=True)
class NeighborsConfig:
    """What counts as alike where nobody says so; as adaptation/neighbors.py has it."""

    count: int = _within(50, 1)  # nearest images of each image, one of which is its positive
    components: int = _within(64, 1)  # principal ones that nearness is measured in
    temperature: float = _within(0.5, 0.01)


@dataclass(frozen=True)
class ViewsConfig:
    """How a method of SELF_SUPERVISED shows its images; self_supervised/domains.py has the rest."""

    domain: Literal["photos", "glyphs", "textures"] = "photos"
    crop: float = _within(0.0, 0.0, 1.0)  # the least share of the area; 0: the domain's own
    side: int = _within(0, 0)  # pixels a side of a view; 0: the backbone's input size
    kept: int = _within(0, 0)  # views of an image, embedded once below an adapter; 0: always new


@dataclass(frozen=True)
class SimClrConfig:
    """Chen et al. 2020, https://arxiv.org/abs/2002.05709; solo-learn's temperature for CIFAR."""

    temperature: float = _within(0.2, 0.01)
    hidden: int = _within(2048, 1)  # width of the projection head g
    dim: int = _within(128, 1)  # of z


@dataclass(frozen=True)
class MocoConfig:
    """He et al. 2019, https://arxiv.org/abs/1911.05722; lightly's numbers for CIFAR."""

    temperature: float = _within(0.1, 0.01)
    momentum: float = _within(0.99, 0.0, 1.0)  # m, of the key encoder
    queue: int = _within(4096, 1)  # keys that are kept, K
    splits: int = _within(8, 1)  # parts of a process's batch that BatchNorm takes one by one
    hidden: int = _within(0, 0)  # of the projection head, as MoCo v2 has one; 0: a linear layer
    dim: int = _within(128, 1)  # of a key, C


@dataclass(frozen=True)
class ByolConfig:
    """Grill et al. 2020, https://arxiv.org/abs/2006.07733, appendix A and section 3.2."""

    momentum: float = _within(0.996, 0.0, 1.0)  # tau at first, rising to 1; for 100,000 steps
    hidden: int = _within(4096, 1)
    dim: int = _within(256, 1)  # of a projection


@dataclass(frozen=True)
class SimSiamConfig:
    """Chen & He 2020, https://arxiv.org/abs/2011.10566, section 3."""

    hidden: int = _within(512, 1)  # of the prediction head h, a bottleneck
    dim: int = _within(2048, 1)  # of z


@dataclass(frozen=True)
class CpcConfig:
    """Henaff et al. 2019, https://arxiv.org/abs/1905.09272; patches half over each other."""

    patch: int = _within(0, 0)  # pixels a side, even; 0: a quarter of the view, a grid of 7 x 7
    blocks: int = _within(3, 1)  # of the context network g
    dim: int = _within(256, 1)  # of z and c


@dataclass(frozen=True)
class DenoisingConfig:
    """Vincent et al. 2008, https://doi.org/10.1145/1390156.1390294, section 2.3."""

    share: float = _within(0.25, 0.01, 0.99)  # of the values that are masked


@dataclass(frozen=True)
class OptimizerConfig:
    """How weights move."""

    name: Literal["sgd", "adamw"] = "sgd"
    rate: float = _within(0.05, 0.0)  # of the head and the last block, at its highest
    momentum: float = _within(0.9, 0.0, 0.9999)  # of sgd, with Nesterov's look ahead
    weight_decay: float = _within(5e-4, 0.0)  # of matrices and kernels, never of vectors
    clip_norm: float = _within(0.0, 0.0)  # the largest norm of all gradients; 0: any
    ema_decay: float = _within(0.0, 0.0, 0.999999)  # of the averaged weights; 0: none are kept


@dataclass(frozen=True)
class ScheduleConfig:
    """How long; the rate rises linearly, then falls to 0 by a half cosine."""

    steps: int = _within(1000, 0)  # 0: nothing learns, what the run starts from is its result
    warmup_steps: int = _within(0, 0)
    log_every_steps: int = _within(10, 1)
    checkpoint_every_steps: int = _within(500, 1)


@dataclass(frozen=True)
class ComputeConfig:
    """Where and in which numbers."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Precision = "fp32"  # of activations; weights stay fp32
    channels_last: bool = True  # on GPUs only


@dataclass(frozen=True)
class RunConfig:
    """All that a run depends on, beside its data."""

    seed: int = _within(0, 0, 2**31 - 1)
    method: MethodName = "supervised"
    data: DataConfig = field(default_factory=DataConfig)
    target: DataConfig = field(default_factory=DataConfig)  # unlabelled, of another domain
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    supervised: SupervisedConfig = field(default_factory=SupervisedConfig)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    neighbors: NeighborsConfig = field(default_factory=NeighborsConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    simclr: SimClrConfig = field(default_factory=SimClrConfig)
    moco: MocoConfig = field(default_factory=MocoConfig)
    byol: ByolConfig = field(default_factory=ByolConfig)
    simsiam: SimSiamConfig = field(default_factory=SimSiamConfig)
    cpc: CpcConfig = field(default_factory=CpcConfig)
    denoising: DenoisingConfig = field(default_factory=DenoisingConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        """Raises ConfigError where the method does not go with other settings."""
        check_stack(self)
        check_views(self)
        if self.method == NEIGHBORS and not self.has_kept:
            expected = 'model.adapter, model.trained = "last_block" and no augmentation'
            got = f'model.adapter = {self.model.adapter}, model.trained = "{self.model.trained}"'
            raise ConfigError(f"method: neighbors: expected {expected}, got {got}")

    @property
    def is_source_free(self) -> bool:
        return self.method in SOURCE_FREE

    @property
    def trained_on(self) -> DataConfig:
        """The images that a step is about: the target's alone where the method is source-free."""
        return self.target if self.is_source_free else self.data

    @property
    def has_target(self) -> bool:
        """Whether a step has unlabelled images of the target beside those it is about."""
        return self.method in TWO_DOMAINS

    @property
    def is_unlabelled(self) -> bool:
        """Whether no label of the images that a step is about is shown."""
        return self.is_source_free or not self.has_head

    @property
    def is_self_supervised(self) -> bool:
        return self.method in SELF_SUPERVISED

    @property
    def is_stage(self) -> bool:
        """Whether one layer learns, on those that have learned before."""
        return self.method in get_args(StageName)

    @property
    def is_layerwise(self) -> bool:
        return self.is_stage or self.method == "unrolled"

    @property
    def has_classes(self) -> bool:
        """Whether a folder of its images has a folder for each class."""
        return not self.is_self_supervised and not self.is_layerwise

    @property
    def has_head(self) -> bool:
        """Whether classes are told apart."""
        return self.method != NEIGHBORS and self.has_classes

    @property
    def has_kept(self) -> bool:
        """Whether only the adapter learns, from what stays the same: the rest is computed once."""
        is_varied = self.augment != AugmentConfig() or self.supervised.turned
        is_alone = bool(self.model.adapter) and self.model.trained == "last_block"
        is_given = self.views.kept > 0 or self.method in ("supervised", NEIGHBORS)
        return is_given and is_alone and not is_varied
