"""A head whose keys and values come with each row: bits, stalls, errors, cycles."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest
from unit_bench import Bench, Pause, pack, stalls, unpack

from exaq.attention import AttentionConfig, attend
from exaq_hdl.attention.attention_head import AttentionHead, head_fields
from exaq_hdl.attention.streamed_scores import streamed_key_fields, streamed_query_fields
from exaq_hdl.attention.streamed_values import streamed_value_fields
from exaq_hdl.shell.ports import layout

pytestmark = pytest.mark.usefixtures("unused_components")

CONFIGS: dict[str, dict[str, Any]] = {
    "dint4": {"lanes": 4, "max_row": 24},
    "int8 keys, 3 bits": {"keys": "int8", "bits": 3, "lanes": 2, "max_row": 12},
    "int4, small": {"keys": "int4", "lanes": 3, "max_row": 9, "value_width": 4, "output_width": 8},
    "1 lane, sink": {"lanes": 1, "max_row": 7, "head_size": 17, "sink": 400},
    "1 beat": {"lanes": 4, "max_row": 4, "bits": 4},
    "multiply": {"keys": "int8", "kernel": "multiply", "lanes": 2, "max_row": 12},
}


def config_of(name: str, **changes: Any) -> AttentionConfig:
    return AttentionConfig(**{"head_size": 16, "logit_scale": 2**-9} | CONFIGS[name] | changes)


@dataclass(frozen=True)
class Row:
    """A row of q with keys and values of its own; ``beats`` of values, if other than of keys."""

    q: Any
    k: Any
    v: Any
    beats: int | None = None

    def wrong(self, config: AttentionConfig) -> bool:
        keys = -(-len(self.k) // config.lanes)
        return len(self.k) > config.softmax.max_row or self.beats not in (None, keys)


def random_row(config: AttentionConfig, rng: Any, keys: int, beats: int | None = None) -> Row:
    size = config.head_size
    q = rng.integers(-128, 128, size) // int(rng.choice([1, 16]))
    if config.keys == "int8":
        k = rng.integers(-128, 128, (keys, size))
    else:
        k = rng.integers(0, 16, (keys, size))
        if config.keys == "int4":
            k = np.where(k == 8, 7, k)
    half = 2 ** (config.value_width - 1)
    return Row(q, k, rng.integers(-half, half, (keys, size)), beats)


def vectors_of(
    shape: Any, name: str, vectors: Any, width: int, lanes: int, beats: int, rng: Any, tails: bool
) -> Iterator[int]:
    """Beats of a row's vectors; lanes without one, and what is not looked at, are noise."""
    size = vectors.shape[-1]
    for beat in range(beats):
        mine = vectors[beat * lanes : (beat + 1) * lanes]
        elements = rng.integers(0, 2**width, (lanes, size))
        elements[: len(mine)] = mine & (1 << width) - 1
        words = [sum(int(x) << width * n for n, x in enumerate(row)) for row in elements]
        last = int(beat == beats - 1)
        item = {name: words, "last": last}
        if tails:
            item["tail"] = (1 << len(mine)) - 1 if last else int(rng.integers(0, 1 << lanes))
        yield pack(shape, item)


class Run:
    """Rows through the unit; ``rows`` are outputs, ``errors`` their flags."""

    def __init__(
        self,
        config: AttentionConfig,
        rows: list[Row],
        pauses: tuple[Pause, Pause, Pause, Pause] = (None, None, None, None),
        **options: Any,
    ):
        self.unit = AttentionHead(config, operands="streamed", **options)
        bench = Bench(self.unit, limit=20000)
        rng = np.random.default_rng(9)
        lanes, width = config.lanes, config.key_format.width
        queries = layout(streamed_query_fields(config))
        keys, values = layout(streamed_key_fields(config)), layout(streamed_value_fields(config))
        counts = [-(-len(row.k) // lanes) for row in rows]
        q = [pack(queries, {"q": row.q.tolist()}) for row in rows]
        k = [
            word
            for row, beats in zip(rows, counts, strict=True)
            for word in vectors_of(keys, "keys", row.k, width, lanes, beats, rng, True)
        ]
        v = [
            word
            for row, beats in zip(rows, counts, strict=True)
            for word in vectors_of(
                *(values, "values", row.v, config.value_width, lanes),
                beats if row.beats is None else row.beats,
                *(rng, False),
            )
        ]
        self.q = bench.feed(self.unit.q, q, pauses[0])
        self.keys = bench.feed(self.unit.keys, k, pauses[1])
        self.values = bench.feed(self.unit.values, v, pauses[2])
        steps = config.head_size // self.unit.outputs_per_beat
        self.o = bench.drain(self.unit.o, len(rows) * steps, pauses[3])
        bench.run()
        shape = layout(head_fields(config, self.unit.outputs_per_beat))
        beats = [unpack(shape, word) for word in self.o.items]
        assert [beat["last"] for beat in beats] == ([0] * (steps - 1) + [1]) * len(rows)
        self.rows = [
            [each for beat in beats[n : n + steps] for each in beat["outputs"]]
            for n in range(0, len(beats), steps)
        ]
        self.errors = [beat["error"] for beat in beats[steps - 1 :: steps]]
        assert len(self.values.times) == len(v)

    def check(self, config: AttentionConfig, rows: list[Row]) -> None:
        assert self.errors == [int(row.wrong(config)) for row in rows]
        for row, found, error in zip(rows, self.rows, self.errors, strict=True):
            if not error:
                assert found == attend(row.q[None], row.k, row.v, config)[0].tolist()


def random_rows(config: AttentionConfig, seed: int, count: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    most, lanes = config.softmax.max_row, config.lanes
    lengths = [1, most, lanes, min(lanes + 1, most), 1, 1]
    lengths += [int(rng.integers(1, most + 1)) for _ in range(count)]
    return [random_row(config, rng, keys) for keys in lengths[:count]]


@pytest.mark.parametrize(
    ("name", "stalled"),
    [(name, "0123") for name in CONFIGS] + [("dint4", each) for each in ("", "0", "1", "2", "3")],
)
def test_rows_equal_the_golden_model(name: str, stalled: str) -> None:
    config = config_of(name)
    rows = random_rows(config, seed=len(name), count=16)
    pauses = [stalls(n + len(name)) if str(n) in stalled else None for n in range(4)]
    Run(config, rows, (pauses[0], pauses[1], pauses[2], pauses[3])).check(config, rows)


def test_a_sink_that_stops_loses_nothing() -> None:
    config = config_of("dint4")
    rng = np.random.default_rng(2)
    rows = [random_row(config, rng, int(rng.integers(9, 25))) for _ in range(60)]
    pause: Pause = chain(repeat(False, 60), repeat(True, 1200), repeat(False))
    run = Run(config, rows, (None, None, None, pause), outputs_per_beat=8)
    run.check(config, rows)
    # Everything inside was full.
    assert max(np.diff(run.keys.times)) > 500


def test_multipliers_do_not_mix_absent_lanes_with_keys() -> None:
    config = config_of("int4, small", lanes=4, max_row=12)
    rows = random_rows(config, seed=3, count=16)
    Run(config, rows, multipliers="dsp", outputs_per_beat=16).check(config, rows)


@pytest.mark.parametrize("stalled", ["", "0123"])
def test_rows_in_error_leave_the_others_alone(stalled: str) -> None:
    config = config_of("dint4", max_row=8)
    rng = np.random.default_rng(5)
    # Keys, and beats of values where those are others.
    cases = [(8, None), (9, None), (8, 1), (13, 2), (3, 2), (8, None), (5, 3), (1, None), (8, 5)]
    cases += [(20, 7), (4, None), (9, 1), (1, 4), (1, None), (17, None), (8, None)]
    rows = [random_row(config, rng, keys, beats) for keys, beats in cases]
    pauses = [stalls(n) if str(n) in stalled else None for n in range(4)]
    run = Run(config, rows, (pauses[0], pauses[1], pauses[2], pauses[3]), outputs_per_beat=4)
    run.check(config, rows)
    assert sum(run.errors) == 10


@pytest.mark.parametrize(("name", "keys"), [("dint4", 1), ("dint4", 22), ("1 lane, sink", 7)])
def test_latency_is_as_declared(name: str, keys: int) -> None:
    config = config_of(name)
    run = Run(config, [random_row(config, np.random.default_rng(keys), keys)])
    beats = -(-keys // config.lanes)
    assert run.o.times[0] - run.keys.times[0] == 2 * beats + run.unit.latency


@pytest.mark.parametrize("name", ["dint4", "1 lane, sink"])
def test_full_rate_rows_follow_each_other_without_a_pause(name: str) -> None:
    config = config_of(name, max_row=4 * CONFIGS[name]["max_row"])
    for outputs_per_beat in (None, 16 if name == "dint4" else 1):
        keys = AttentionHead(config, outputs_per_beat=outputs_per_beat, operands="streamed")
        count = keys.full_rate_row
        rng = np.random.default_rng(1)
        rows = [random_row(config, rng, count) for _ in range(30)]
        run = Run(config, rows, outputs_per_beat=outputs_per_beat)
        beats = -(-count // config.lanes)
        assert set(np.diff(run.keys.times[5 * beats :]).tolist()) == {1}
        run.check(config, rows)


def test_a_causal_head_has_stored_operands() -> None:
    with pytest.raises(ValueError, match="must be stored in a causal head, not streamed"):
        AttentionHead(config_of("dint4", causal=True), operands="streamed")
    with pytest.raises(ValueError, match="operands must be stored or streamed, not 'kept'"):
        AttentionHead(config_of("dint4"), operands="kept")
