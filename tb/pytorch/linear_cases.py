"""Models and texts for tests of linear layers in few bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch_models import MODELS, run
from transformers import PreTrainedModel

#: Texts to calibrate on, one of them two at once.
TEXTS: list[Tensor] = [
    torch.randint(50, shape, generator=torch.Generator().manual_seed(number))
    for number, shape in enumerate([(20,), (17,), (2, 11), (9,)])
]


def spread_out(kind: str) -> PreTrainedModel:
    """A tiny model some of whose channels are far larger than the others, and biases not 0."""
    model = MODELS[kind]()
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(generator=random)
            elif parameter.ndim == 1:
                parameter.mul_(1 + 8 * (torch.rand(len(parameter), generator=random) > 0.9))
    return model


def output(model: nn.Module) -> Tensor:
    """What the model gives for the same texts, always."""
    found: Any = run(model, None)  # type: ignore[arg-type]
    first: Tensor = found[0]
    return first


def state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def relative(given: Tensor, exact: Tensor) -> float:
    """Size of the difference over that of what is exact."""
    return float((given - exact).norm() / exact.norm())
