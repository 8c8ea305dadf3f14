"""Bodies of vectors to vectors: every cut, stalls, cycles; and outputs to octets."""

from __future__ import annotations

import random
from typing import Any

import pytest
from head_messages import elements_of, header, octets_of, random_vectors
from station_bench import message_words
from unit.unit_bench import Bench, pack, stalls, unpack

from exaq.attention import AttentionConfig
from exaq_fpga.gateware.messages.output_writer import OutputWriter
from exaq_fpga.gateware.messages.vector_reader import VectorReader, vector_layout
from exaq_hdl.attention.attention_head import head_fields
from exaq_hdl.shell.ports import layout

CONFIGS = {
    "pairs longer": AttentionConfig(head_size=16),
    "odd": AttentionConfig(head_size=17, value_width=4),
    "int8, a pair of twice a row": AttentionConfig(head_size=16, keys="int8"),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


def read(
    config: AttentionConfig, *bodies: bytes, queries: bool, seed: int | None = None
) -> tuple[list[dict[str, int]], list[bool], list[int], list[int]]:
    """Vectors, whether each body was malformed, and the cycles of octets and vectors."""
    reader: Any = VectorReader(config)
    bench = Bench(reader)
    words = message_words(bodies)
    paused = [None, None] if seed is None else [stalls(seed, 0.3), stalls(seed + 1)]
    feed = bench.feed(reader.i, words, paused[0])
    drain = bench.drain(reader.o, 0, paused[1])
    bench.every(lambda ctx, cycle: ctx.set(reader.queries, int(queries)))
    ends = bench.probe(reader.ended, reader.malformed)
    bench.run(cycles=6 * len(words) + 60)
    assert feed.done
    told = [(cycle, bool(values[1])) for cycle, values in enumerate(ends.values) if values[0]]
    assert len(told) == len(bodies)
    assert all(cycle < told[-1][0] for cycle in drain.times)
    found = [unpack(vector_layout(config), item) for item in drain.items]
    return found, [malformed for _, malformed in told], feed.times, drain.times


def vectors(config: AttentionConfig, count: int, *, queries: bool) -> tuple[list[Any], list[bytes]]:
    """``count`` vectors as fields of the layout, and as octets."""
    q, k, v = random_vectors(config, random.Random(count), count, count)
    width = config.key_format.width
    if queries:
        octets = [octets_of(row, 8) for row in q]
        return [{"query": int.from_bytes(each, "little")} for each in octets], octets
    keys, values = (
        [octets_of(x, w) for x in xs] for xs, w in ((k, width), (v, config.value_width))
    )
    fields = []
    for key, value in zip(keys, values, strict=True):
        whole = int.from_bytes(key, "little"), int.from_bytes(value, "little")
        fields.append(dict(zip(("key", "value"), whole, strict=True)))
    return fields, [a + b for a, b in zip(keys, values, strict=True)]


@EVERY
@pytest.mark.parametrize("queries", [False, True])
@pytest.mark.parametrize("final", [False, True])
def test_cut_at_every_octet(name: str, queries: bool, final: bool) -> None:
    config = CONFIGS[name]
    """And a whole body behind it."""
    fields, octets = vectors(config, 2, queries=queries)
    number = 0x2ABCD
    body = header(number, final=final) + b"".join(octets)
    behind = header(7, final=not final) + octets[0]
    size = len(octets[0])
    for end in range(1, len(body) + 1):
        seed = end if end % 3 else None
        found, malformed, _, _ = read(config, body[:end], behind, queries=queries, seed=seed)
        whole = max(end - 3, 0) // size
        exact = end > 3 and (end - 3) % size == 0
        assert malformed == [not exact, False]
        *before, after = found
        assert len(before) == whole
        for n, each in enumerate(before):
            assert each["number"] == number + n
            assert each["last"] == (final and exact and n == whole - 1)
            assert {key: each[key] for key in fields[n]} == fields[n]
        assert (after["number"], after["last"]) == (7, not final)
        assert {key: after[key] for key in fields[0]} == fields[0]


@EVERY
def test_an_octet_in_a_cycle(name: str) -> None:
    config = CONFIGS[name]
    _, octets = vectors(config, 5, queries=False)
    _, _, taken, given = read(config, header(0) + b"".join(octets), queries=False)
    # A vector waits one cycle, in which no octet is taken.
    assert taken[-1] - taken[0] == len(header(0)) + 5 * len(octets[0]) - 1 + 4
    assert len(given) == 5


@pytest.mark.parametrize(("width", "per_beat"), [(8, 1), (16, 1), (8, 4), (16, 16)])
def test_outputs(width: int, per_beat: int) -> None:
    config = AttentionConfig(head_size=16, output_width=width)
    rng = random.Random(width)
    half = 2 ** (width - 1)
    rows = [[rng.randrange(-half, half) for _ in range(16)] for _ in range(5)]
    wrong = [rng.random() < 0.5 for _ in rows]
    shape = layout(head_fields(config, per_beat))
    words = [
        pack(
            shape,
            {
                "outputs": row[at : at + per_beat],
                "last": int(at + per_beat == 16),
                "error": int(error and at + per_beat == 16),
            },
        )
        for row, error in zip(rows, wrong, strict=True)
        for at in range(0, 16, per_beat)
    ]
    size = 2 * width
    for seed in (None, 3):
        writer: Any = OutputWriter(config, per_beat)
        bench = Bench(writer)
        paused = (None, None) if seed is None else (stalls(seed), stalls(seed + 1))
        bench.feed(writer.i, words, paused[0])
        drain = bench.drain(writer.o, 5 * size, paused[1])
        pulses = bench.probe(writer.row, writer.error)
        bench.run()
        found = [bytes(drain.items[at : at + size]) for at in range(0, 5 * size, size)]
        assert [elements_of(each, width, 16, signed=True) for each in found] == rows
        assert [bool(error) for row, error in pulses.values if row] == wrong
        if seed is None:
            assert drain.times[-1] - drain.times[0] == 5 * size - 1
