"""Measures a pass of SmolLM2 with the unit's softmax beside one with a float softmax.

Each line's passes take turns with those of Transformers' "eager" in the same process, so that the
ratio holds whatever else the machine does; the median of a few rounds is shown. Memory, beside the
model, is the peak of a pass in a process of its own, over eager's.

    python scripts/bench_torch.py
    python scripts/bench_torch.py --tokens 512 --bits 2 --rounds 9
"""

from __future__ import annotations

import argparse
import statistics
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

import exaq
import exaq.torch
from exaq_eval.models import ModelError, smollm2

FORMAT: dict[str, Any] = {"logit_width": 16, "logit_scale": 2.0**-8, "prob_bits": 16}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048], help="of a pass")
    parser.add_argument("--bits", type=int, nargs="+", default=[2, 4], help="widths of codes")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each softmax")
    options = parser.parse_args()
    try:
        model = smollm2().model
    except ModelError as error:
        parser.error(str(error))
    softmaxes: list[str | int] = ["sdpa", "exaq", *options.bits]
    print(f"{model.config.num_hidden_layers} layers, {torch.get_num_threads()} threads")
    print(f"{'tokens':>6}  {'softmax':18}  {'seconds':>7}  {'of eager':>8}  {'memory':>6}")
    for tokens in options.tokens:
        base = memory_of("eager", tokens)
        shown = {"sdpa": "sdpa, float", "exaq": "exaq, float"}
        for each in softmaxes:
            ratio, seconds = against_eager(model, each, tokens, options.rounds)
            name = shown.get(str(each), f"EXAQ, {each} bits")
            memory = memory_of(each, tokens) / base
            print(f"{tokens:6}  {name:18}  {seconds:7.2f}  {ratio:8.2f}  {memory:6.2f}", flush=True)


def against_eager(
    model: PreTrainedModel, softmax: str | int, tokens: int, rounds: int
) -> tuple[float, float]:
    """The median of a pass's time over that of eager's beside it, and of its seconds."""
    taken: dict[str | int, list[float]] = {"eager": [], softmax: []}
    for round_number in range(rounds + 1):
        for each, times in taken.items():
            choose(model, each)
            began = time.perf_counter()
            run(model, tokens)
            # The first round warms up.
            if round_number:
                times.append(time.perf_counter() - began)
    pairs = zip(taken[softmax], taken["eager"], strict=True)
    return statistics.median(a / b for a, b in pairs), statistics.median(taken[softmax])


def memory_of(softmax: str | int, tokens: int) -> float:
    """Bytes that a pass needs at its peak beside the model, in a process of its own; on Linux."""
    with get_context("spawn").Pool(1) as pool:
        return float(pool.apply(_rise, (softmax, tokens)))


def _rise(softmax: str | int, tokens: int) -> int:
    model = smollm2().model
    choose(model, softmax)
    run(model, 8)
    # Sets the peak to what is resident now.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak()
    run(model, tokens)
    return _peak() - before


def _peak() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return 1024 * int(peak)


def choose(model: PreTrainedModel, softmax: str | int) -> None:
    """Let the model run with an implementation, or with EXAQ of so many bits."""
    if isinstance(softmax, int):
        exaq.torch.set_tables(model, exaq.SoftmaxConfig(bits=softmax, **FORMAT))
        return
    exaq.torch.set_tables(model, None)
    model.set_attn_implementation(softmax)


def run(model: PreTrainedModel, tokens: int) -> None:
    """A pass over numbers of tokens at random, the same each time."""
    drawn = torch.randint(0, model.config.vocab_size, (1, tokens), generator=_generator())
    with torch.inference_mode():
        model(input_ids=drawn, use_cache=False)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


if __name__ == "__main__":
    main()
