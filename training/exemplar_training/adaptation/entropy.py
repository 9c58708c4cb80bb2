"""What unlabelled predictions should look like: sure, and of many classes.

Shapes: N images, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def entropy(logits_NC: Tensor) -> Tensor:
    """The mean entropy of the predictions, in nats: low where each one is sure."""
    return -(logits_NC.softmax(1) * logits_NC.log_softmax(1)).sum(1).mean()


def diversity(logits_NC: Tensor) -> Tensor:
    """The entropy of the mean prediction, in nats: log C where all classes are equally common."""
    mean_C = logits_NC.softmax(1).mean(0)
    return -(mean_C * mean_C.clamp_min(torch.finfo(mean_C.dtype).tiny).log()).sum()
