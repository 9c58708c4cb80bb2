"""What the loop asks of a way to train: a loss over a batch, and which parameters learn.

The boundary between the loop, which knows no method, and the methods, which know no loop.
Shapes: B images of this process, H height, W width, C channels, K numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """What one process gets for one step, on its device.

    `image_BHWC` is uint8, `class_ids_B` int64. `uniform_BK` are float32 numbers in [0, 1), drawn
    from the seed, the step and the image's place in the whole batch: augmentation by them is the
    same in one process, in several, and after a resume. `rows_B` says which images of the set
    these are. `target` has unlabelled images of another domain, where the run has some.
    """

    image_BHWC: Tensor
    class_ids_B: Tensor
    uniform_BK: Tensor
    rows_B: Tensor
    step: int
    target: Batch | None = None


@dataclass(frozen=True)
class Group:
    """Parameters that learn at `rate_scale` times the optimizer's rate."""

    parameters: Sequence[nn.Parameter]
    rate_scale: float = 1.0


class Method(Protocol):
    """A way to train a backbone.

    `module` holds all state (queues and centers as buffers): it is moved to the device, averaged
    and saved. Its child `embedder` is the Embedder that an export of the run takes.
    """

    @property
    def module(self) -> nn.Module: ...

    def groups(self) -> list[Group]:
        """The parameters that learn; what is in no group must not require a gradient.

        No group at all where nothing learns by gradients: the loss then has none.
        """
        ...

    def train(self) -> None:
        """Puts what learns into training mode and what is frozen into evaluation mode."""
        ...

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The loss, a scalar that is a mean over the batch, and numbers for the log.

        Log tensors are detached scalars; they are read only at the steps that are logged.
        """
        ...

    def after_step(self, step: int) -> None:
        """What follows the optimizer's step: momentum encoders and queues. Often nothing."""
        ...
