"""AQAS: channel scales that suit weights and activations at once.

Activation-quantization-aware scaling (arXiv 2311.05161) divides each channel of a layer's input by
s_j and multiplies the weights of that channel by it, with the s for which the layer's output comes
out best when both are rounded: argmin || Q(W diag(s)) Q(diag(1/s) X) - W X ||^2. How s is sought is
this project's: s_j = max |X_j|^alpha / max |W_j|^(1 - alpha), of geometric mean 1, over a grid of
alpha, and no scaling at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from exaq.torch.linears.level_rounding import rounded_rows

#: Outputs of a layer that the search looks at, spread evenly, where it has more.
OUTPUTS = 128
#: The grid of alpha.
ALPHAS = tuple(k / 10 for k in range(11))


def channel_scales(
    matrices: Sequence[Tensor],
    inputs: Tensor,
    largest: Tensor,
    round_weights: Callable[[Tensor], Tensor],
    *,
    round_inputs: bool,
) -> tuple[Tensor, float | None]:
    """The best scales of the input that several layers share, and their alpha.

    Parameters
    ----------
    matrices
        (outputs, inputs) weights of each layer.
    inputs
        (rows, inputs) what they are given.
    largest
        (inputs,) largest size of each channel.
    round_weights
        Gives a scaled matrix rounded.
    round_inputs
        Whether inputs are rounded too, as ``exaq.dint.activations`` does.

    Returns
    -------
    tuple
        Scales (inputs,), positive; alpha, None where no scaling is best.
    """
    weights = torch.stack([matrix.abs().amax(dim=0) for matrix in matrices]).amax(dim=0)
    looked_at = [matrix[:: -(-len(matrix) // OUTPUTS)] for matrix in matrices]
    wanted = [inputs @ matrix.T for matrix in looked_at]
    best, chosen, least = torch.ones_like(largest), None, torch.inf
    for alpha in (None, *ALPHAS):
        scales = _scales(largest, weights, alpha)
        given = inputs / scales
        if round_inputs:
            integers, steps = rounded_rows(given)
            taken = integers.mul_(steps)
        else:
            taken = given
        error = 0.0
        for matrix, exact in zip(looked_at, wanted, strict=True):
            output = taken @ round_weights(matrix * scales).T
            error += float(output.sub_(exact).square_().sum(dtype=torch.float64))
        if error < least:
            best, chosen, least = scales, alpha, error
    return best, chosen


def _scales(largest: Tensor, weights: Tensor, alpha: float | None) -> Tensor:
    """Scales for one alpha; 1 for channels without inputs or weights."""
    if alpha is None:
        return torch.ones_like(largest)
    # In logarithms, of which the geometric mean is the mean.
    logs = alpha * largest.double().log() - (1 - alpha) * weights.double().log()
    alive = logs.isfinite()
    if not alive.any():
        return torch.ones_like(largest)
    logs = torch.where(alive, logs - logs[alive].mean(), 0)
    return logs.exp().to(largest.dtype)
