"""What linear layers are given while a model reads calibration texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from exaq.scalars import integer

#: One text: token numbers (tokens,) or (texts, tokens), or the arguments of the model by name.
Text = Tensor | Mapping[str, Any]


class LayerInputs:
    """Inputs of one layer, of which every so many are kept.

    Members
    -------
    largest
        (inputs,) largest size of each channel over all tokens.
    """

    def __init__(self, most: int) -> None:
        self._most, self._every, self._seen = most, 1, 0
        self._kept: list[Tensor] = []
        self.largest = torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Take the inputs (..., inputs) of a call."""
        rows = values.detach().reshape(-1, values.shape[-1])
        if len(rows):
            self.largest = torch.maximum(self.largest.to(rows.device), rows.abs().amax(dim=0))
        first = -self._seen % self._every
        self._seen += len(rows)
        self._kept.append(rows[first :: self._every].clone())
        while sum(map(len, self._kept)) > 2 * self._most:
            self._kept = [torch.cat(self._kept)[::2]]
            self._every *= 2

    @property
    def rows(self) -> Tensor:
        """(rows, inputs) the kept ones, spread evenly over all; fewer than twice as many as asked
        for, and no fewer where there are as many.
        """
        return torch.cat(self._kept)


def checked_texts(texts: Sequence[Text], length: int | None) -> list[Text]:
    """Calibration texts, token numbers cut into pieces of ``length`` tokens.

    A last piece that is shorter is left out, but for a text that is shorter as a whole.
    """
    if isinstance(texts, Tensor | Mapping) or not isinstance(texts, Sequence):
        raise TypeError(f"calibration must be a sequence of texts, not a {type(texts).__name__}")
    if not texts:
        raise ValueError("calibration must have at least 1 text, not 0")
    if length is not None:
        length = integer("calibration_length", length, 1)
    pieces: list[Text] = []
    for text in texts:
        if isinstance(text, Mapping):
            if length is not None:
                raise TypeError("calibration_length cuts tensors of token numbers, not mappings")
            pieces.append(text)
            continue
        if not isinstance(text, Tensor) or text.is_floating_point() or text.ndim not in (1, 2):
            raise TypeError(
                "a calibration text must be token numbers, (tokens,) or (texts, tokens), or a "
                f"mapping of the model's arguments, not {_kind(text)}"
            )
        if not text.numel():
            raise ValueError("a calibration text must have at least 1 token, not 0")
        batch = text[None] if text.ndim == 1 else text
        if length is None or batch.shape[1] <= length:
            pieces.append(batch)
        else:
            whole = batch.shape[1] // length
            pieces += batch[:, : whole * length].split(length, dim=1)
    return pieces


@torch.no_grad()
def run(model: nn.Module, text: Text) -> Any:
    """What the model gives for a text."""
    if isinstance(text, Mapping):
        return model(**text)
    device = next(model.parameters()).device
    return model(input_ids=text.to(device))


def _kind(text: object) -> str:
    if isinstance(text, Tensor):
        return f"a tensor of {text.dtype} and shape {tuple(text.shape)}"
    return f"a {type(text).__name__}"
