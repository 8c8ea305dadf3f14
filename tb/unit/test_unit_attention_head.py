"""A whole attention head against its golden model: rows, banks, stalls, errors, cycles."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest
from unit_bench import Bench, Pause, pack, stalls, unpack

from exaq.attention import AttentionConfig, attend
from exaq_hdl.attention.attention_head import AttentionHead, head_fields
from exaq_hdl.attention.score_rows import query_fields, vector_fields
from exaq_hdl.shell.ports import layout

pytestmark = pytest.mark.usefixtures("unused_components")

CONFIGS: dict[str, dict[str, Any]] = {
    "dint4, 2 bits": {"lanes": 4, "max_row": 24},
    "causal": {"lanes": 4, "max_row": 24, "causal": True},
    "int8 keys, 3 bits": {"keys": "int8", "bits": 3, "lanes": 2, "max_row": 12},
    "int4, all widths small": {
        "keys": "int4",
        "lanes": 3,
        "max_row": 9,
        "value_width": 4,
        "output_width": 8,
        "causal": True,
    },
    "1 lane, sink": {"lanes": 1, "max_row": 7, "head_size": 17, "sink": 400, "causal": True},
    "multiply": {"keys": "int8", "kernel": "multiply", "lanes": 2, "max_row": 16},
    "multiply, causal, all widths small": {
        "kernel": "multiply",
        "lanes": 4,
        "max_row": 24,
        "value_width": 4,
        "output_width": 8,
        "prob_bits": 8,
        "causal": True,
    },
    "1 beat": {"lanes": 4, "max_row": 4, "bits": 4, "value_width": 4},
}


@dataclass(frozen=True)
class Head:
    """Operands of heads that share keys and values, (heads, rows, size), (keys, size) twice."""

    q: Any
    k: Any
    v: Any

    def outputs(self, config: AttentionConfig) -> list[list[int]]:
        found = attend(self.q, self.k, self.v, config)
        return found.reshape(-1, config.head_size).tolist()


def random_head(
    config: AttentionConfig, rng: np.random.Generator, *, heads: int, rows: int, keys: int
) -> Head:
    size = config.head_size
    q = rng.integers(-128, 128, (heads, rows, size))
    k = rng.integers(0, 16, (keys, size))
    if config.keys == "int8":
        k = rng.integers(-128, 128, (keys, size))
    elif config.keys == "int4":
        k = np.where(k == 8, 7, k)
    # Most rows of unlike operands see one key: those of small ones spread.
    q[::2] //= 16
    half = 2 ** (config.value_width - 1)
    v = rng.integers(-half, half, (keys, size))
    v[:, 0], v[:, 1] = -half, half - 1
    return Head(q, k, v)


def random_heads(config: AttentionConfig, seed: int, count: int) -> list[Head]:
    rng = np.random.default_rng(seed)
    most = config.softmax.format.max_row
    lengths = [1, most, config.lanes, min(config.lanes + 1, most)]
    return [
        random_head(
            config,
            rng,
            heads=int(rng.integers(1, 3)),
            rows=int(rng.integers(1, 2 * config.lanes + 3)),
            keys=lengths[n] if n < len(lengths) else int(rng.integers(1, most + 1)),
        )
        for n in range(count)
    ]


def query_words(config: AttentionConfig, heads: list[Head]) -> Iterator[int]:
    shape = layout(query_fields(config))
    for head in heads:
        for h, rows in enumerate(head.q):
            for r, row in enumerate(rows):
                last = r == len(rows) - 1
                # What says that keys are done is looked at with a head's last row only.
                release = h == len(head.q) - 1 if last else r % 2
                yield pack(shape, {"q": row.tolist(), "last": int(last), "release": int(release)})


def vector_words(width: int, size: int, sets: list[Any]) -> Iterator[int]:
    shape = layout(vector_fields("key", size, width, ""))
    for vectors in sets:
        for n, vector in enumerate(vectors):
            elements = [int(each) & (1 << width) - 1 for each in vector]
            word = sum(each << width * k for k, each in enumerate(elements))
            yield pack(shape, {"vector": word, "last": int(n == len(vectors) - 1)})


class Run:
    """Heads through the unit; ``rows`` are outputs, ``errors`` their flags."""

    def __init__(
        self,
        config: AttentionConfig,
        heads: list[Head],
        *,
        pauses: tuple[Pause, Pause, Pause, Pause] = (None, None, None, None),
        values: list[Any] | None = None,
        limit: int = 20000,
        **options: Any,
    ):
        self.unit = AttentionHead(config, **options)
        size, per_beat = config.head_size, self.unit.outputs_per_beat
        bench = Bench(self.unit, limit=limit)
        count = sum(len(rows) for head in heads for rows in head.q)
        self.q = bench.feed(self.unit.q, query_words(config, heads), pauses[0])
        self.keys = bench.feed(
            self.unit.keys,
            vector_words(config.key_format.width, size, [head.k for head in heads]),
            pauses[1],
        )
        given = [head.v for head in heads] if values is None else values
        self.values = bench.feed(
            self.unit.values, vector_words(config.value_width, size, given), pauses[2]
        )
        self.o = bench.drain(self.unit.o, count * size // per_beat, pauses[3])
        bench.run()
        shape = layout(head_fields(config, per_beat))
        beats = [unpack(shape, word) for word in self.o.items]
        steps = size // per_beat
        assert [beat["last"] for beat in beats] == ([0] * (steps - 1) + [1]) * count
        self.rows = [
            [each for beat in beats[k : k + steps] for each in beat["outputs"]]
            for k in range(0, len(beats), steps)
        ]
        self.errors = [beat["error"] for beat in beats[steps - 1 :: steps]]
        assert not any(beat["error"] for beat in beats if not beat["last"])


def config_of(name: str, **changes: Any) -> AttentionConfig:
    return AttentionConfig(**{"head_size": 16, "logit_scale": 2**-9} | CONFIGS[name] | changes)


@pytest.mark.parametrize(
    ("name", "stalled"),
    [(name, stalled) for name in CONFIGS for stalled in ("", "all")]
    + [("causal", "q"), ("int4, all widths small", "kv"), ("dint4, 2 bits", "o")]
    + [("multiply", "o")],
)
def test_heads_equal_the_golden_model(name: str, stalled: str) -> None:
    config = config_of(name)
    heads = random_heads(config, seed=len(name), count=6)
    which = {"": "", "q": "0", "kv": "12", "o": "3", "all": "0123"}[stalled]
    pauses = [stalls(n + len(name)) if str(n) in which else None for n in range(4)]
    run = Run(config, heads, pauses=(pauses[0], pauses[1], pauses[2], pauses[3]))
    assert run.rows == [row for head in heads for row in head.outputs(config)]
    assert not any(run.errors)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("causal", {"multipliers": "dsp", "outputs_per_beat": 1}),
        ("causal", {"outputs_per_beat": 16}),
        ("multiply", {"multipliers": "dsp", "outputs_per_beat": 1}),
        ("multiply", {"value_multipliers": "dsp", "outputs_per_beat": 16}),
    ],
)
def test_other_shapes_of_the_unit_give_the_same(name: str, options: dict[str, Any]) -> None:
    config = config_of(name)
    heads = random_heads(config, seed=5, count=5)
    run = Run(config, heads, **options)
    assert run.rows == [row for head in heads for row in head.outputs(config)]


@pytest.mark.parametrize("name", ["int8 keys, 3 bits", "multiply"])
def test_extremes(name: str) -> None:
    config = config_of(name)
    q = np.array([[[-128] * 16, [127] * 16, [0] * 16]])
    k = np.array([[-128] * 16, [127] * 16] * 6)
    v = np.array([[-128] * 16, [127] * 16] * 6)
    heads = [Head(q, k, v), Head(q, k, v * 0 - 128), Head(q, k, v * 0 + 127)]
    run = Run(config, heads)
    assert run.rows == [row for head in heads for row in head.outputs(config)]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("dint4, 2 bits", 1),
        ("dint4, 2 bits", 22),
        ("int8 keys, 3 bits", 12),
        ("1 lane, sink", 7),
        ("multiply", 1),
        ("multiply", 15),
    ],
)
def test_latency_is_as_declared(name: str, keys: int) -> None:
    config = config_of(name, causal=False)
    head = random_head(config, np.random.default_rng(keys), heads=1, rows=1, keys=keys)
    # The row comes when keys and values are there.
    pause: Pause = chain(repeat(True, 200), repeat(False))
    run = Run(config, [head], pauses=(pause, None, None, None))
    beats = -(-keys // config.lanes)
    passes = 2 if config.by_level else 3
    assert run.o.times[0] - run.q.times[0] == passes * beats + run.unit.latency
    assert run.unit.passes == passes


@pytest.mark.parametrize("name", ["dint4, 2 bits", "1 lane, sink", "multiply"])
def test_full_rate_rows_follow_each_other_without_a_pause(name: str) -> None:
    config = config_of(name, causal=False, max_row=4 * CONFIGS[name]["max_row"])
    for outputs_per_beat in (None, 1):
        shape = AttentionHead(config, outputs_per_beat=outputs_per_beat)
        keys = shape.full_rate_row
        if keys > config.softmax.format.max_row:
            continue
        rng = np.random.default_rng(1)
        head = random_head(config, rng, heads=1, rows=30, keys=keys)
        run = Run(config, [head], outputs_per_beat=outputs_per_beat)
        starts = run.o.times[:: config.head_size // run.unit.outputs_per_beat]
        beats = -(-keys // config.lanes)
        # The queues in front of the outputs fill first.
        assert set(np.diff(starts[5:]).tolist()) == {beats}
        assert run.rows == head.outputs(config)


def test_the_next_keys_are_loaded_while_rows_run() -> None:
    config = config_of("dint4, 2 bits")
    rng = np.random.default_rng(2)
    heads = [random_head(config, rng, heads=1, rows=20, keys=24) for _ in range(3)]
    run = Run(config, heads)
    assert run.rows == [row for head in heads for row in head.outputs(config)]
    # The second head's keys are in before half of the first one's rows have begun, and the rows of
    # both follow each other as those of one do, but for a cycle.
    assert run.keys.times[47] < run.q.times[10]
    assert sorted(np.diff(run.q.times[3:40]).tolist()) == [6] * 35 + [7]


def test_too_many_keys_or_values_put_rows_in_error() -> None:
    config = config_of("dint4, 2 bits", max_row=8)
    rng = np.random.default_rng(3)
    lengths = [(8, 8), (9, 9), (8, 8), (13, 8), (8, 11), (8, 7), (3, 4), (1, 1), (4, 5), (8, 8)]
    heads, values = [], []
    for keys, others in lengths:
        head = random_head(config, rng, heads=1, rows=2, keys=keys)
        heads.append(head)
        values.append(rng.integers(-128, 128, (others, 16)))
    run = Run(config, heads, values=values, outputs_per_beat=4)
    wrong = [keys != others or keys > 8 for keys, others in lengths]
    assert run.errors == [int(each) for each in wrong for _ in range(2)]
    right = [n for n, each in enumerate(wrong) if not each]
    for n in right:
        want = Head(heads[n].q, heads[n].k, values[n]).outputs(config)
        assert run.rows[2 * n : 2 * n + 2] == want
