"""What a simulation is told, and how its coroutines become tests; runs inside the simulator.

The environment names the files: EXAQ_SIMULATION a JSON with the configuration and what the
manifest declares, EXAQ_HITS where the hit bins go.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cocotb
from rtl_bench import Bench
from rtl_bins import Hits, config_bins

from exaq import SoftmaxConfig

# A simulator that hangs within one time step reaches no timeout of simulated time, but one of
# processor time. Time on the wall would tell more of what else the machine does.
signal.setitimer(signal.ITIMER_PROF, 540)

_SIMULATION = json.loads(Path(os.environ["EXAQ_SIMULATION"]).read_text(encoding="utf-8"))
# A kernel makes itself known where its module is imported.
importlib.import_module(_SIMULATION["module"])
CONFIG = SoftmaxConfig.from_dict(_SIMULATION["config"])
LATENCY: int = _SIMULATION["latency"]
#: Whether the beats of a row count towards its latency.
WHOLE_ROW: bool = _SIMULATION["counted_from"] == "beats of the row"
#: Whether each beat leaves that long after it was taken.
EACH_BEAT: bool = _SIMULATION["counted_from"] == "each beat"
#: Of the manifest: latency and rows_waiting of row results; nothing where there are none.
RESULTS: dict[str, int] = _SIMULATION["results"]
#: Of the manifest: cycles_after_reset, cycles_of_a_load; 0 without contexts.
BOOT_CYCLES: int = _SIMULATION["boot_cycles"]
LOAD_CYCLES: int = _SIMULATION["load_cycles"]
#: Which configuration of the matrix this is.
PLACE: int = _SIMULATION["place"]
#: Fields of the harness's ``seen``.
SEEN: list[tuple[str, int]] = _SIMULATION["seen"]
HITS = Hits()

#: Whether rows can be long enough to stream without a bubble.
CAN_STREAM = CONFIG.full_rate_row <= CONFIG.max_row
#: Whether a row can have so many beats that few such rows must do.
LONG = CONFIG.beats > 256


def rtl_test(when: bool = True) -> Callable[[Any], Any]:
    """A cocotb test, left out where the configuration has nothing to show.

    Left out, not skipped: cocotb runs skipped tests that COCOTB_TEST_FILTER names.
    """
    if when:
        return cocotb.test(timeout_time=1.5, timeout_unit="ms")
    return lambda generator: None


def share(names: str, choices: Sequence[Any], count: int, long: int = 0) -> Any:
    """Parametrizes a test with this configuration's share of ``choices`` of the named options.

    ``count`` of them, or ``long`` where rows can have so many beats that few such rows must do.
    The next configuration of the matrix goes on where this one ends, so that the matrix as a whole
    runs all of them, in turn, each in several configurations.
    """
    count = long if LONG and long else count
    chosen = [choices[(PLACE * count + each) % len(choices)] for each in range(count)]
    options = tuple(names.split(","))
    if len(options) == 1:
        return cocotb.parametrize(**{names: chosen})
    return cocotb.parametrize((options, chosen))


def pairs(sources: Iterable[str], sinks: Iterable[str]) -> list[tuple[str, str]]:
    """Every source's stall pattern with every sink's."""
    return list(itertools.product(sources, sinks))


def on_bench(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Gives ``test`` a fresh Bench, drains it afterwards and writes the bins hit so far."""

    @functools.wraps(test)
    async def run(dut: Any, **options: Any) -> None:
        label = ",".join(str(value) for value in options.values())
        bench = Bench(
            dut, CONFIG, HITS, f"{test.__name__}[{label}]", BOOT_CYCLES, LOAD_CYCLES, SEEN
        )
        await bench.start()
        await test(bench, **options)
        await bench.finish()
        bench.monitor.hit(*config_bins(CONFIG))
        HITS.write(Path(os.environ["EXAQ_HITS"]))

    return run


def check_never_held_back(bench: Bench) -> None:
    """Fails where the input was held back, or the source did not try to stream."""
    log = bench.monitor.log
    if log.held_back:
        bench.monitor.fail(f"the input was held back in cycles {log.held_back[:10]}")
    if log.taken[-1] - log.taken[0] + 1 != len(log.taken):
        bench.monitor.fail("the source left a bubble: nothing is measured")


def check_no_bubble(bench: Bench, what: str) -> None:
    """Fails where beats left in other cycles than ones that follow each other."""
    given = bench.monitor.log.given
    if given[-1] - given[0] + 1 != len(given):
        bench.monitor.fail(f"{len(given)} beats of {what} took {given[-1] - given[0] + 1} cycles")
