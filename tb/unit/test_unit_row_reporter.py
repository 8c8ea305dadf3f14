"""A row's results from the words of its p-table."""

import random

import pytest
from unit_bench import Bench, pack, stalls, unpack

from exaq import SoftmaxConfig
from exaq_hdl.kernels.exaq.layouts import row_report, table_word
from exaq_hdl.kernels.exaq.row_reporter import RowReporter

CONFIGS = {
    "tables": SoftmaxConfig(row_results="table", bits=3, prob_bits=9, contexts=5),
    "sums": SoftmaxConfig(row_results="sum", prob_bits=4),
    "64 levels": SoftmaxConfig(row_results="table", bits=6, lanes=1),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seeds", [None, (1, 2)])
def test_each_row(name: str, seeds: tuple[int, int] | None) -> None:
    config = CONFIGS[name]
    rng = random.Random(name)
    layout, given = table_word(config.kernel), row_report(config.kernel)
    words, expected = [], []
    for _ in range(20):
        table = [rng.getrandbits(config.prob_bits) for _ in range(config.levels)]
        row = {
            "maximum": rng.getrandbits(config.logit_width),
            "error": rng.getrandbits(1),
            "sum": rng.getrandbits(config.sum_bits),
        }
        if config.context_bits:
            row["context"] = rng.randrange(config.contexts)
        for level, probability in enumerate(table):
            first = row if level == 0 else dict.fromkeys(row, 0)
            words.append(pack(layout, {"level": level, "probability": probability} | first))
        expected.append(row | ({"table": table} if config.row_results == "table" else {}))
    reporter = RowReporter(config.kernel)
    bench = Bench(reporter)
    source, sink = (stalls(seed) for seed in seeds) if seeds else (None, None)
    feed = bench.feed(reporter.i, words, source)
    drain = bench.drain(reporter.o, len(expected), sink)
    bench.run()
    assert [unpack(given, item) for item in drain.items] == expected
    if seeds is None:
        # A row's last word, its results, and the next row's first word a cycle later.
        ends = feed.times[config.levels - 1 :: config.levels]
        assert [time + RowReporter.latency for time in ends] == drain.times
        assert feed.times[config.levels :: config.levels] == [time + 2 for time in ends[:-1]]
