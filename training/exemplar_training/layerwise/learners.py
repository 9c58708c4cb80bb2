"""The learners L of layer-wise pretraining: what one layer learns from the values below it.

Hinton, Osindero & Teh 2006, "A fast learning algorithm for deep belief nets",
https://www.cs.toronto.edu/~hinton/absps/fastnc.pdf; Vincent et al. 2008, "Extracting and composing
robust features with denoising autoencoders", https://doi.org/10.1145/1390156.1390294.
Shapes: B batch, V visible values, H hidden ones, K uniform numbers; X values of any shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional

from exemplar_training.stacks import inputs_of_top

if TYPE_CHECKING:
    from torch import Tensor, nn

    from exemplar_training.config import RunConfig
    from exemplar_training.stacks import Layer

_HALF_A_STEP = 2.0**-25  # of float32 numbers in [0, 1): the normal number of 0 is not finite


class Learner(Protocol):
    """What trains a layer and its decoder."""

    def parameters(self) -> list[nn.Parameter]:
        """Those that learn."""
        ...

    def loss(self, below_BX: Tensor, uniform_BK: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the values that were reconstructed, (B, X), without a gradient."""
        ...

    def after_step(self) -> None: ...


def learner_of(config: RunConfig, layer: Layer, decoder: nn.Module) -> Learner:
    if config.method == "rbm":
        return Rbm(layer, decoder)
    return Autoencoder(layer, decoder, config.denoising.share * (config.method == "denoising"))


def layer_numbers(config: RunConfig) -> int:
    """How many uniform numbers an image gets a step."""
    if config.method == "rbm":
        return config.model.widths[-1]
    return inputs_of_top(config.model) if config.method == "denoising" else 0


@dataclass(frozen=True)
class Rbm:
    """A restricted Boltzmann machine by one step of contrastive divergence, CD-1.

    Hinton 2010, "A practical guide to training restricted Boltzmann machines", section 3: states
    of hidden units are sampled once, all else are probabilities. A linear layer has hidden units
    of unit variance (13.2). The decoder is the transposed layer with the visible biases.
    """

    layer: Layer
    decoder: nn.Module

    def __post_init__(self) -> None:
        self.after_step()

    def parameters(self) -> list[nn.Parameter]:
        return [*self.layer.parameters(), self.decoder.bias]  # type: ignore[list-item]

    def loss(self, below_BX: Tensor, uniform_BK: Tensor) -> tuple[Tensor, Tensor]:
        """The free energy of what is there minus that of what is reconstructed.

        The latter is taken for a constant, so the gradient is CD-1's update, with its sign turned.
        """
        with torch.no_grad():
            reconstructed_BX = self.decoder(self._sampled(below_BX, uniform_BK)).sigmoid()
        energy_B = self.free_energy(below_BX) - self.free_energy(reconstructed_BX)
        return energy_B.mean(), reconstructed_BX

    def free_energy(self, visible_BV: Tensor) -> Tensor:
        """F(v) = -log of the sum over h of exp(-E(v, h)), (B,), but for a constant."""
        into_hidden_BH = self.layer.affine(visible_BV).float()
        if self.layer.is_linear:
            hidden_B = into_hidden_BH.square().sum(1) / 2
        else:
            hidden_B = functional.softplus(into_hidden_BH).sum(1)
        energy_B: Tensor = -(visible_BV @ self.decoder.bias) - hidden_B  # type: ignore[operator]
        return energy_B

    def after_step(self) -> None:
        with torch.no_grad():
            self.decoder.weight.copy_(self.layer.affine.weight.T)  # type: ignore[operator]

    def _sampled(self, visible_BV: Tensor, uniform_BK: Tensor) -> Tensor:
        hidden_BH: Tensor = self.layer(visible_BV)
        if self.layer.is_linear:
            normal_BH: Tensor = torch.special.ndtri(uniform_BK.double() + _HALF_A_STEP)
            return hidden_BH + normal_BH.to(hidden_BH.dtype)
        is_on_BH: Tensor = uniform_BK < hidden_BH
        return is_on_BH.to(visible_BV.dtype)


@dataclass(frozen=True)
class Autoencoder:
    """Reconstructs what it is given; denoising: of which it sees a part, the rest is 0."""

    layer: Layer
    decoder: nn.Module
    masked: float  # the share that is not seen

    def parameters(self) -> list[nn.Parameter]:
        return [*self.layer.parameters(), *self.decoder.parameters()]

    def loss(self, below_BX: Tensor, uniform_BK: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy of the values, as if they were probabilities."""
        seen_BX = below_BX
        if self.masked:
            seen_BX = below_BX * (uniform_BK.reshape(below_BX.shape) >= self.masked)
        logits_BX = self.decoder(self.layer(seen_BX)).float()
        loss = functional.binary_cross_entropy_with_logits(logits_BX, below_BX)
        return loss, logits_BX.detach().sigmoid()

    def after_step(self) -> None:
        pass
