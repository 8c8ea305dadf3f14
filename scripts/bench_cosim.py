"""Measure how fast the compiled Verilog streams arrays: elements a second, checks included.

Compilation is not counted. The median of several runs, each of the same rows.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np

import exaq
import exaq_cosim


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=4000, help="rows of 1024 elements")
    parser.add_argument("--repeat", type=int, default=5, help="runs, the median counts")
    arguments = parser.parse_args()
    for name in ("rows", "repeat"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(arguments, name)}")

    rng = np.random.default_rng(0)
    logits = rng.integers(-128, 128, (arguments.rows, 1024), dtype=np.int8)
    print(f"{arguments.rows} rows of 1024, median of {arguments.repeat} runs")
    print(f"{'preset':10}{'M elements/s':>14}{'elements/cycle':>16}")
    for preset in ("2bit-x4", "2bit-x16", "2bit-x32"):
        config = exaq.SoftmaxConfig.preset(preset)
        exaq_cosim.compile_unit(config)
        runs = [exaq_cosim.simulate(logits, config) for _ in range(arguments.repeat)]
        speed = statistics.median(run.elements_per_second for run in runs)
        print(f"{preset:10}{speed / 1e6:14.1f}{runs[0].elements_per_cycle:16.3f}")


if __name__ == "__main__":
    main()
