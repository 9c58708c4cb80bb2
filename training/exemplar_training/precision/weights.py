"""A convolution's weights in 8 bits, and its bias corrected for what rounding them changed.

x86 processors without VNNI multiply 8-bit numbers in pairs and add each pair in 16 bits, which
saturates: measured on lite0, that alone takes the mean cosine to fp32 from 0.986 to 0.882. Here no
pair can saturate, so such a processor answers as any other does.
Shapes: O output channels, I input channels of a group, H and W of the kernel, K = H x W x I.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 127
# Two weights times activations of at most 255 must fit into 16 bits: 255 x 128 = 32640 <= 32767.
_MOST_IN_PAIR = 128
# Scales that are tried, as multiples of the one that just holds the largest weight: smaller ones
# clip it and round the others finer, larger ones keep pairs small.
_SCALES = np.arange(2.2, 0.4, -0.04)
_MOST_BIAS = 2**30  # of 2**31, with room for the correction
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Weights:
    """`integers_OIHW` x `scales_O` are near the weights; `bias_O` is still in floating point."""

    integers_OIHW: NDArray[np.int8]
    scales_O: NDArray[np.float32]
    bias_O: NDArray[np.float64]


def quantized(
    weights_OIHW: NDArray[np.float32],
    bias_O: NDArray[np.float32],
    *,
    group: int,
    input_scale: float,
    input_mean_C: NDArray[np.float64],
    input_error: float = 0.0,
) -> Weights:
    """8-bit weights with the least square error that do not saturate, one scale a channel.

    The bias takes over what they change on average: the mean of the input, channel by channel,
    times the rounding error (Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.2).
    `input_error` is what was added to every input value.
    """
    weights_OK = weights_OIHW.transpose(0, 2, 3, 1).reshape(len(weights_OIHW), -1)
    # A depthwise convolution multiplies in 16 bits and has no pairs.
    is_depthwise = weights_OIHW.shape[1] == 1 and group == len(weights_OIHW)
    scales_O = _best_scales(weights_OK.astype(np.float64), has_pairs=not is_depthwise)
    # A channel of tiny weights gets a scale at which 32 bits hold its bias.
    least_O = np.abs(bias_O) / (input_scale * _MOST_BIAS)
    scales_O = np.maximum(scales_O, least_O).astype(np.float32).astype(np.float64)
    scales_O111 = scales_O[:, None, None, None]
    integers_OIHW = _rounded(weights_OIHW / scales_O111)
    used_OIHW = integers_OIHW * scales_O111
    mean_OI = _by_output(input_mean_C, weights_OIHW.shape[:2], group)
    missing_OI = (weights_OIHW - used_OIHW).sum(axis=(2, 3))
    shift_O = (missing_OI * mean_OI).sum(axis=1) - input_error * used_OIHW.sum(axis=(1, 2, 3))
    return Weights(integers_OIHW.astype(np.int8), scales_O.astype(np.float32), bias_O + shift_O)


def _best_scales(weights_OK: NDArray[np.float64], *, has_pairs: bool) -> NDArray[np.float64]:
    full_O = np.maximum(np.abs(weights_OK).max(axis=1) / _MOST, _SMALLEST)
    best_O: NDArray[np.float64] = full_O * _SCALES[0]
    least_error_O = np.full(len(full_O), np.inf)
    for multiple in _SCALES:
        scales_O = full_O * multiple
        integers_OK = _rounded(weights_OK / scales_O[:, None])
        error_O = np.square(integers_OK * scales_O[:, None] - weights_OK).sum(axis=1)
        if has_pairs:
            error_O = np.where(_largest_pair(integers_OK) > _MOST_IN_PAIR, np.inf, error_O)
        is_better_O = error_O < least_error_O
        best_O = np.where(is_better_O, scales_O, best_O)
        least_error_O = np.where(is_better_O, error_O, least_error_O)
    return best_O


def _largest_pair(integers_OK: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest sum, positive or negative, of neighbors 2k and 2k + 1, the last maybe alone."""
    even_OK = np.pad(integers_OK, ((0, 0), (0, integers_OK.shape[1] % 2)))
    result_O: NDArray[np.float64] = np.abs(even_OK[:, ::2] + even_OK[:, 1::2]).max(axis=1)
    return result_O


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = np.clip(np.round(values), -_MOST, _MOST)
    return rounded


def _by_output(
    values_C: NDArray[np.float64], shape: tuple[int, ...], group: int
) -> NDArray[np.float64]:
    """For each output channel the values of the input channels that it sees, (O, I)."""
    outputs, inputs = shape
    group_of_O = np.arange(outputs) // (outputs // group)
    seen_OI: NDArray[np.float64] = values_C[group_of_O[:, None] * inputs + np.arange(inputs)]
    return seen_OI
