"""One layer learns, or the whole unrolled stack: Algorithm 15.1 of Goodfellow, Bengio & Courville.

https://www.deeplearningbook.org/contents/representation.html. A run is one turn of the book's loop:
it starts from the run of the layers below (`model.init`), leaves them as they are, and learns f(k).
Shapes: B batch; X whatever a layer is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional

from exemplar_training.embedder import Embedder
from exemplar_training.errors import ConfigError
from exemplar_training.fit.frozen import learning
from exemplar_training.fit.method import Group
from exemplar_training.layerwise.decoders import Decoders, stack_of
from exemplar_training.layerwise.given import Given
from exemplar_training.layerwise.learners import learner_of

if TYPE_CHECKING:
    from exemplar_training.backbones import Backbone
    from exemplar_training.config import RunConfig
    from exemplar_training.fit.batches import Batches
    from exemplar_training.fit.method import Batch, Method


def layerwise_method(
    backbone: Backbone, decoders: Decoders, batches: Batches, config: RunConfig
) -> Method:
    """The method that `config` names.

    Raises:
        ConfigError: another part of the stack is to learn than the method trains.
    """
    expected = "last_block" if config.is_stage else "all"
    if config.model.trained != expected:
        told = f"{expected} with {config.method}"
        raise ConfigError(f"model.trained: expected {told}, got {config.model.trained}")
    made = Stage if config.is_stage else Unrolled
    return made(backbone, decoders, batches, config)


class Stage:
    """A `Method`: the last layer and its decoder learn; all below stays to the bit."""

    def __init__(
        self, backbone: Backbone, decoders: Decoders, batches: Batches, config: RunConfig
    ) -> None:
        embedder, stack = Embedder(backbone), stack_of(backbone, config.method)
        self._module = nn.ModuleDict({"embedder": embedder, "decoders": decoders})
        self._given, self._top = Given(embedder, stack, True, batches.kept_ND), stack.top
        self._learner = learner_of(config, self._top, decoders[-1])
        self._module.requires_grad_(requires_grad=False)
        for parameter in self._learner.parameters():
            parameter.requires_grad = True

    @property
    def module(self) -> nn.Module:
        return self._module

    def groups(self) -> list[Group]:
        return [Group(self._learner.parameters())]

    def train(self) -> None:
        self._module.eval()
        self._top.train()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The learner's loss, and the squared error of what it reconstructs."""
        given_BX = self._given.of(batch)
        loss, reconstructed_BX = self._learner.loss(given_BX, batch.uniform_BK)
        return loss, {"reconstruction_error": squared_error(reconstructed_BX, given_BX)}

    def after_step(self, step: int) -> None:
        self._learner.after_step()


class Unrolled:
    """A `Method`: stack and decoders as one deep autoencoder of the pixels.

    Hinton & Salakhutdinov 2006, https://www.cs.toronto.edu/~hinton/absps/science.pdf, figure 1.
    The decoders start as the stages left them: an RBM's is its layer, transposed.
    """

    def __init__(
        self, backbone: Backbone, decoders: Decoders, batches: Batches, config: RunConfig
    ) -> None:
        embedder, self._config = Embedder(backbone), config
        self._stack, self._decoders = stack_of(backbone, config.method), decoders
        self._module = nn.ModuleDict({"embedder": embedder, "decoders": decoders})
        self._given = Given(embedder, self._stack, False, batches.kept_ND)
        self._learning = learning(self._stack, "all", batches.input_size)

    @property
    def module(self) -> nn.Module:
        return self._module

    def groups(self) -> list[Group]:
        layers = self._learning.groups(self._config.model.layer_decay)
        return [*layers, Group(list(self._decoders.parameters()))]

    def train(self) -> None:
        self._module.train()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The squared error of the pixels."""
        pixels_BX = self._given.of(batch)
        reconstructed_BX = self._decoders.decoded(self._stack.layers(pixels_BX))
        error = squared_error(reconstructed_BX, pixels_BX)
        return error, {"reconstruction_error": error.detach()}

    def after_step(self, step: int) -> None:
        pass


def squared_error(reconstructed_BX: Tensor, values_BX: Tensor) -> Tensor:
    """The mean over images and values."""
    return functional.mse_loss(reconstructed_BX.float(), values_BX)
