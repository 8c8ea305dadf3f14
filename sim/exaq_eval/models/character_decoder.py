"""A small causal decoder over characters, made from a Transformers configuration and trained here.

It stands for decoders where no weights can be downloaded: big enough that its attention means
something, small enough to train in about ten minutes on one core. Trained on the sources of
Python's standard library (``exaq_eval.models.corpus``); nothing depends on the losses it reaches.
"""

from __future__ import annotations

import json
import math
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from exaq.cache import cache_folder
from exaq_eval.models import corpus
from exaq_eval.models.quiet import no_progress

#: Characters of a window, the longest input of the model.
CONTEXT = 256
#: Steps of a full training: about ten minutes of one core.
STEPS = 2000
#: Characters that have a number; every other one is ``UNKNOWN``.
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
UNKNOWN = len(ALPHABET)

#: Windows of an optimizer step.
BATCH = 8
_SEED = 0
_WARM_UP = 30
#: Learning rate and momenta of a full training.
RATE = 2e-3
BETAS = (0.9, 0.98)
# Windows of either text that a training reports its losses on.
_FINAL_WINDOWS = 128

_NUMBERS = {character: number for number, character in enumerate(ALPHABET)}


def folder() -> Path:
    """Where the trained decoder is kept."""
    return cache_folder() / "tiny_decoder"


def encode(text: str) -> Tensor:
    """Numbers of the characters of ``text``, shape (characters,)."""
    return torch.tensor([_NUMBERS.get(character, UNKNOWN) for character in text])


def config() -> GPT2Config:
    """Four pre-norm layers of four heads of size 32, learned positions: 0.8 M weights."""
    return GPT2Config(
        vocab_size=UNKNOWN + 1,
        n_positions=CONTEXT,
        n_embd=128,
        n_layer=4,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
    )


def loss(model: PreTrainedModel, stretches: Tensor, batch: int = 16) -> float:
    """Mean loss in nats a character over windows (count, CONTEXT + 1)."""
    total = 0.0
    with torch.no_grad():
        for part in stretches.split(batch):
            logits = model(part[:, :-1]).logits
            total += cross_entropy(
                logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum"
            ).item()
    return total / stretches[:, 1:].numel()


def fit(
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    steps: int,
    *,
    text: Tensor,
    context: int = CONTEXT,
    seed: int = _SEED,
    progress: Callable[[int, int, float], None] | None = None,
) -> None:
    """Train what ``optimizer`` has to predict the next token; the model ends in evaluation mode.

    The learning rate rises for 30 steps, then falls along half a cosine to a thirtieth.

    Parameters
    ----------
    model
        A decoder, with any attention implementation.
    optimizer
        Of the model's weights or of what its softmax has to learn; gradients of all together are
        clipped at norm 1.
    steps
        Each of 8 windows.
    text
        Token numbers (tokens,), from which windows are drawn.
    context
        Tokens of a window that are predicted.
    seed
        Of the choice of windows.
    progress
        Called after each step with (steps done, steps, loss of the step in nats).
    """
    generator = torch.Generator().manual_seed(seed)
    learning = [each for group in optimizer.param_groups for each in group["params"]]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate_of(steps))
    model.train()
    for step in range(steps):
        starts = torch.randint(len(text) - context, (BATCH,), generator=generator)
        stretches = text.unfold(0, context + 1, 1)[starts]
        logits = model(stretches[:, :-1]).logits
        error = cross_entropy(logits.flatten(0, 1), stretches[:, 1:].flatten())
        error.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if progress is not None:
            progress(step + 1, steps, error.item())
    model.eval()


def train(
    steps: int = STEPS, progress: Callable[[int, int, float], None] | None = None
) -> tuple[GPT2LMHeadModel, dict[str, Any]]:
    """A trained decoder and the figures of its training.

    Parameters
    ----------
    steps
        Optimizer steps of 8 windows each.
    progress
        Called after each step with (steps done, steps, loss of the step in nats).

    Returns
    -------
    model
        In evaluation mode.
    figures
        Plain values: steps, losses in nats a character, processor time, and the Python whose text
        it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = GPT2LMHeadModel(config())
    text = encode(corpus.training_text())
    # AdamW alone, as decoders mostly are trained. Muon reaches a lower loss in the time, but makes
    # attention so sharp that a hard maximum does as well as a softmax: nothing to learn from.
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS)
    began = time.process_time()
    fit(model, optimizer, steps, text=text, progress=progress)

    def final(text: str) -> float:
        return loss(model, corpus.windows(text, _FINAL_WINDOWS, CONTEXT + 1, encode))

    return model, {
        "steps": steps,
        "validation_loss": final(corpus.validation_text()),
        "training_loss": final(corpus.training_text()),
        "processor_seconds": round(time.process_time() - began, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def save(model: GPT2LMHeadModel, figures: dict[str, Any], path: Path) -> None:
    """Writes config.json, model.safetensors and training.json into ``path``, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        with no_progress():
            model.save_pretrained(scratch)
        text = json.dumps(figures, indent=1) + "\n"
        (Path(scratch) / "training.json").write_text(text, encoding="utf-8", newline="\n")
        path.mkdir(exist_ok=True)
        for file in sorted(Path(scratch).iterdir()):
            file.replace(path / file.name)


def _rate_of(steps: int) -> Callable[[int], float]:
    """Factor of the learning rate: a short rise, then half a cosine down to a thirtieth."""

    def factor(step: int) -> float:
        fall = 0.5 * (1 + math.cos(math.pi * step / steps))
        return min(1.0, (step + 1) / _WARM_UP) * (0.97 * fall + 0.03)

    return factor
