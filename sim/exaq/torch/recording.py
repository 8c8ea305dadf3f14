"""Attention logits of a model as it runs: the data that tables are calibrated on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from exaq.torch.layers import IMPLEMENTATION, attached, attention_layers

Floats = NDArray[np.float32]


class Recording:
    """Attention logits of each layer, in real units, after scaling and before the softmax.

    Members
    -------
    layers
        A list for each layer, of float32 arrays (heads, rows, row), masked elements -inf: one for
        each time that the layer ran. Recorded to a folder, it is filled at the end of the block,
        with one array for each layer that ran, mapped from its file.
    files
        The files of the layers that ran, where there is a folder.
    """

    def __init__(self, layers: int) -> None:
        self.layers: list[list[Floats]] = [[] for _ in range(layers)]
        self.files: list[Path] = []


@contextmanager
def record(model: PreTrainedModel, folder: Path | str | None = None) -> Iterator[Recording]:
    """Collect the attention logits of whatever ``model`` computes inside the ``with`` block.

    The model runs with the softmax it has, on the implementation "exaq" for the time of the block.
    Queries that are padding are left out: where queries and keys are as many, those that may not
    attend to themselves; else those that may attend to nothing.

    Parameters
    ----------
    model
        A model of Transformers.
    folder
        Where to write ``layer00.npy`` and so on at the end of the block; made where missing. Each
        holds (heads, rows, row), float32, rows of different lengths filled up with -inf. What is
        recorded goes to disk call by call and is not kept in memory, but takes twice its size on
        the disk. Where the block raises, no file is written.

    Yields
    ------
    Recording
    """
    layers = attention_layers(model)
    recording = Recording(len(layers))
    with ExitStack() as stack:
        keeps: list[Callable[[Floats], None]] = [calls.append for calls in recording.layers]
        spools: list[_Spool] = []
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            spools = [_Spool(scratch / f"layer{number:02}.npy") for number in range(len(layers))]
            keeps = [spool.append for spool in spools]
        for layer, keep in zip(layers, keeps, strict=True):
            state = attached(layer)
            stack.callback(setattr, state, "collect", state.collect)
            state.collect = _collector(keep)
        stack.callback(model.set_attn_implementation, model.config._attn_implementation)
        model.set_attn_implementation(IMPLEMENTATION)
        yield recording
        ran = [spool for spool in spools if spool.shapes]
        for spool in ran:
            spool.join()
        for spool in ran:
            recording.files.append(spool.path.replace(Path(folder or "") / spool.path.name))
        for spool, file in zip(ran, recording.files, strict=True):
            recording.layers[spools.index(spool)].append(np.load(file, mmap_mode="r"))


def _collector(keep: Callable[[Floats], None]) -> Callable[[Tensor, Tensor], None]:
    """What an attention layer calls with its scores and the flags of the live ones."""

    @torch.no_grad()
    def collect(scores: Tensor, live: Tensor) -> None:
        queries, keys = scores.shape[-2:]
        alive = live.expand(scores.shape)
        by_query = alive.diagonal(dim1=-2, dim2=-1) if queries == keys else alive.any(dim=-1)
        rows = scores.float().masked_fill(~alive, -torch.inf).transpose(0, 1)
        keep(rows[:, by_query.any(dim=1)].cpu().numpy())

    return collect


class _Spool:
    """Arrays (heads, rows, row) on their way into the file ``path``, which joins their rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shapes: list[tuple[int, ...]] = []

    def append(self, array: Floats) -> None:
        """Write ``array`` beside the file."""
        np.save(self._part(len(self.shapes)), array)
        self.shapes.append(array.shape)

    def join(self) -> None:
        """Write the file, one array after the other, and remove these."""
        heads, row = self.shapes[0][0], max(shape[2] for shape in self.shapes)
        rows = sum(shape[1] for shape in self.shapes)
        whole = np.lib.format.open_memmap(
            self.path, mode="w+", dtype=np.float32, shape=(heads, rows, row)
        )
        start = 0
        for number, (_, count, length) in enumerate(self.shapes):
            part = self._part(number)
            whole[:, start : start + count, :length] = np.load(part, mmap_mode="r")
            whole[:, start : start + count, length:] = -np.inf
            part.unlink()
            start += count
        whole.flush()

    def _part(self, number: int) -> Path:
        return self.path.with_suffix(f".{number}.npy")
