"""Attention logits of several texts: in memory up to a limit, and beyond it in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: Bytes of logits that are kept in memory.
MEMORY = 2**30


class Recorded:
    """What each layer was called with, text by text.

    Parameters
    ----------
    layers
        Layers of the model.
    folder
        For the files, one for each layer, of bare float32.
    memory
        Bytes that are kept in memory; the rest is mapped from the files.
    """

    def __init__(self, layers: int, folder: Path, memory: int = MEMORY) -> None:
        self._folder, self._left = folder, memory
        # Of each call its array, or where it is in the layer's file: its shape and first element.
        self._calls: list[list[Floats | tuple[tuple[int, ...], int]]] = [[] for _ in range(layers)]
        self._elements = [0] * layers
        self._ends: list[list[int]] = []

    def add(self, layer: int, logits: Floats) -> None:
        """Take what a layer was called with."""
        if logits.nbytes <= self._left:
            self._left -= logits.nbytes
            self._calls[layer].append(logits)
            return
        with self._path(layer).open("ab") as file:
            np.ascontiguousarray(logits, dtype=np.float32).tofile(file)
        self._calls[layer].append((logits.shape, self._elements[layer]))
        self._elements[layer] += logits.size

    def end_text(self) -> None:
        """What is added from now on is of the next text."""
        self._ends.append([len(calls) for calls in self._calls])

    def layers(self, texts: int) -> Sequence[Sequence[Floats]]:
        """Calls of each layer in the first ``texts`` texts, an array (heads, rows, row) each."""
        found = []
        for layer, end in enumerate(self._ends[texts - 1]):
            whole = (
                np.memmap(self._path(layer), dtype=np.float32, mode="r")
                if self._elements[layer]
                else np.zeros(0, np.float32)
            )
            found.append([_array(call, whole) for call in self._calls[layer][:end]])
        return found

    def _path(self, layer: int) -> Path:
        return self._folder / f"layer{layer}"


def _array(call: Floats | tuple[tuple[int, ...], int], whole: Floats) -> Floats:
    if isinstance(call, np.ndarray):
        return call
    shape, start = call
    size = int(np.prod(shape))
    return whole[start : start + size].reshape(shape)
