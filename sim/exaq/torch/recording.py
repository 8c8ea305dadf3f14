"""Attention logits of a model as it runs: the data that tables are calibrated on."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from exaq.torch.layers import IMPLEMENTATION, Seen, attached, warn_if_partial
from exaq.torch.modules import attention_layers, outermost_models

Floats = NDArray[np.float32]

# Arguments of a layer that bring other tokens than its own, whose keys it looks at.
_OTHERS = ("key_value_states", "encoder_hidden_states", "cross_attention_states", "context")


class Recording:
    """Attention logits of each layer, in real units, after scaling and before the softmax.

    Members
    -------
    layers
        A list for each layer, of float32 arrays (heads, rows, row), masked elements -inf: one for
        each time that the layer ran. Where the layer has attention sinks, the last element of a
        row is its sink. Recorded to a folder, it is filled at the end of the block, with one array
        for each layer that ran, mapped from its file. What is handed to a receiver is not in it.
    files
        The files of the layers that ran, where there is a folder.
    """

    def __init__(self, layers: int) -> None:
        self.layers: list[list[Floats]] = [[] for _ in range(layers)]
        self.files: list[Path] = []


@contextmanager
def record(
    model: nn.Module,
    folder: Path | str | None = None,
    *,
    receive: Callable[[int, Floats], None] | None = None,
) -> Iterator[Recording]:
    """Collect the attention logits of whatever ``model`` computes inside the ``with`` block.

    The model runs with the softmax it has, on the implementation "exaq" for the time of the block.
    Rows of padding are left out: those that may attend to nothing, and, in self-attention of as
    many queries as keys, those of tokens that nothing may attend to. Queries of cross-attention
    are kept otherwise: their mask tells of padding among the keys alone. A layer's call is
    cross-attention where the layer says so (``is_cross_attention``) or is handed the states of
    other tokens.

    Warns by ``PartialModelWarning`` of ``unswitched_layers``, which are not recorded.

    Parameters
    ----------
    model
        A model of Transformers, or a module with such inside.
    folder
        Where to write ``layerN.npy`` for each layer N that ran, N its place in
        ``attention_layers``, at the end of the block; made where missing. Each holds (heads, rows,
        row), float32, rows of different lengths filled up with -inf. What is recorded goes to disk
        call by call and is not kept in memory, but takes twice its size on the disk. Where the
        block raises, no file is written.
    receive
        Called instead, each time that a layer runs, with its number and its array, as it would
        stand in ``Recording.layers``: for logits that are used at once, call by call.

    Raises
    ------
    ValueError
        The model has no attention layer that can be recorded, one is outside any model of
        Transformers, or there are both a folder and a receiver.

    Yields
    ------
    Recording
    """
    if folder is not None and receive is not None:
        raise ValueError("logits are recorded to a folder or to a receiver, not to both")
    recording = Recording(len(attention_layers(model)))
    with ExitStack() as stack:
        spools: dict[int, _Spool] = {}
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            spools = {n: _Spool(scratch / f"layer{n}.npy") for n in range(len(recording.layers))}
        watchers = {}
        for number, calls in enumerate(recording.layers):
            keep = spools.get(number, calls).append if receive is None else partial(receive, number)
            watchers[number] = _keep(keep)
        stack.enter_context(watching(model, watchers))
        yield recording
        ran = {number: spool for number, spool in spools.items() if spool.shapes}
        for spool in ran.values():
            spool.join()
        for number, spool in ran.items():
            file = spool.path.replace(Path(folder or "") / spool.path.name)
            recording.files.append(file)
            recording.layers[number].append(np.load(file, mmap_mode="r"))


#: Called with what a layer's call computed, and which of its rows (batch, queries) are no padding.
Watcher = Callable[[Seen, Tensor], None]


@contextmanager
def watching(model: nn.Module, watchers: Mapping[int, Watcher]) -> Iterator[None]:
    """Let each of ``watchers`` see the calls of the layer of its number, in the ``with`` block.

    The model is on the implementation "exaq" for that time, as ``record`` says.
    """
    models, layers = outermost_models(model), attention_layers(model)
    with ExitStack() as stack:
        for number, watcher in watchers.items():
            state, collector = attached(layers[number]), _Collector(watcher)
            stack.callback(setattr, state, "collect", state.collect)
            state.collect = collector
            hook = layers[number].register_forward_pre_hook(collector.called, with_kwargs=True)
            stack.callback(hook.remove)
        for config, implementation in reversed(_implementations(models)):
            stack.callback(setattr, config, "_attn_implementation", implementation)
        for each in models:
            each.set_attn_implementation(IMPLEMENTATION)
        warn_if_partial(model)
        yield


def _implementations(models: list[PreTrainedModel]) -> list[tuple[PreTrainedConfig, str | None]]:
    """What each configuration asks for; those inside another one come after it."""

    def visit(config: PreTrainedConfig) -> Iterator[tuple[PreTrainedConfig, str | None]]:
        yield config, config._attn_implementation
        for name in config.sub_configs:
            inner = getattr(config, name, None)
            if inner is not None:
                yield from visit(inner)

    return [
        pair
        for model in models
        for module in model.modules()
        if isinstance(module, PreTrainedModel)
        for pair in visit(module.config)
    ]


class _Collector:
    """Tells a watcher of a layer's calls, and which of their rows are no padding."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._crosses = False

    def called(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note whether the layer, about to run, attends to other tokens than its own."""
        names = list(inspect.signature(layer.forward).parameters)
        given = dict(zip(names, args, strict=False)) | kwargs
        own, others = given.get(names[0]), [given.get(name) for name in _OTHERS]
        self._crosses = bool(getattr(layer, "is_cross_attention", False)) or any(
            isinstance(tokens, Tensor) and tokens is not own for tokens in others
        )

    @torch.no_grad()
    def __call__(self, seen: Seen) -> None:
        queries, keys = seen.scores.shape[-2:]
        alive = seen.live.expand(seen.scores.shape)
        kept = alive.any(dim=-1)
        if queries == keys and not self._crosses:
            kept = kept & alive.any(dim=-2)
        self._watcher(seen, kept.any(dim=1))


def recorded(seen: Seen) -> Tensor:
    """Logits (batch, heads, queries, keys [+ 1]) as recorded: masked ones -inf, the sink last."""
    rows = seen.scores.float().masked_fill(~seen.live, -torch.inf)
    return rows if seen.sink is None else torch.cat([rows, seen.sink.float()], dim=-1)


def _keep(keep: Callable[[Floats], None]) -> Watcher:
    """A watcher that hands arrays (heads, rows, row) on."""

    def watcher(seen: Seen, kept: Tensor) -> None:
        keep(recorded(seen).transpose(0, 1)[:, kept].cpu().numpy())

    return watcher


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
