"""Compare the speed of the golden model with a float32 softmax, both NumPy, in one run.

Prints the float time over the golden model's time: above 1, the golden model is faster. All run
alternately, so that a change of the machine's load meets each. The float softmax comes twice: as
its formula is usually written, and in place, which spares NumPy every temporary array.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq.tables import MAX_BITS, MIN_BITS


def float_softmax(logits: NDArray[Any], scale: np.float32) -> NDArray[np.float32]:
    """Softmax in float32 as its formula is usually written."""
    x: NDArray[np.float32] = logits.astype(np.float32) * scale
    e: NDArray[np.float32] = np.exp(x - x.max(axis=-1, keepdims=True))
    p: NDArray[np.float32] = e / e.sum(axis=-1, keepdims=True)
    return p


def float_softmax_in_place(logits: NDArray[Any], scale: np.float32) -> NDArray[np.float32]:
    """The same, in place from the first conversion on."""
    x = logits.astype(np.float32)
    x *= scale
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def medians(*functions: Callable[[], object], repeat: int) -> list[float]:
    """Median seconds of each function, which run in turn, ``repeat`` times."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(repeat):
        for function, times in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--row", type=int, default=1024, help="elements of a row, at most 65536")
    parser.add_argument("--repeat", type=int, default=21, help="runs of each, the median counts")
    arguments = parser.parse_args()
    for name in ("rows", "row", "repeat"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(arguments, name)}")
    if arguments.row > 65536:
        parser.error(f"--row must be at most 65536, not {arguments.row}")

    rng = np.random.default_rng(0)
    shape = arguments.rows, arguments.row
    live = rng.random(shape) < 0.9
    print(f"{shape[0]} rows of {shape[1]}, median of {arguments.repeat} runs")
    print(f"{'':24}{'exaq':>8}{'float32':>10}{'':7}{'in place':>11}")
    print(
        f"{'logits':8}{'bits':>8}{'mask':>8}{'ms':>8}{'ms':>10}{'ratio':>7}{'ms':>11}{'ratio':>7}"
    )
    for width in (8, 16):
        logits = rng.integers(-(2 ** (width - 1)), 2 ** (width - 1), shape, dtype=f"i{width // 8}")
        for bits in range(MIN_BITS, MAX_BITS + 1):
            config = exaq.SoftmaxConfig(
                bits=bits, logit_width=width, logit_scale=2.0 ** (4 - width), max_row=65536
            )
            scale = np.float32(config.logit_scale)
            for mask in (None, live):
                usual, in_place, model = medians(
                    partial(float_softmax, logits, scale),
                    partial(float_softmax_in_place, logits, scale),
                    partial(exaq.softmax, logits, config, mask),
                    repeat=arguments.repeat,
                )
                print(
                    f"{logits.dtype!s:8}{bits:8}{'no' if mask is None else 'yes':>8}"
                    f"{1e3 * model:8.2f}{1e3 * usual:10.2f}{usual / model:7.2f}"
                    f"{1e3 * in_place:11.2f}{in_place / model:7.2f}"
                )


if __name__ == "__main__":
    main()
