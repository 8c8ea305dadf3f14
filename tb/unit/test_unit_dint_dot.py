"""Dot products of q and keys, against the golden model and against plain integers."""

import random
import re
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from unit_bench import Bench, ceil_log2, pack, unpack

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig, scores
from exaq_hdl.attention.dint_dot import DintDot

#: Formats of keys with what products are made of.
KINDS = [(keys, kind) for keys in ("dint4", "int4", "int8") for kind in ("lut", "dsp")]

# A beat: a row of q, and for each lane the elements' bits.
Beat = tuple[list[int], list[list[int]]]


def head(keys: str, head_size: int, lanes: int) -> AttentionConfig:
    return AttentionConfig(keys=keys, head_size=head_size, lanes=lanes, max_row=8 * lanes)


def meaning(keys: str, bits: int) -> int:
    """What a key's element stands for in a dot product: dINT4 counts in half steps."""
    if keys == "int8":
        return bits - 256 if bits & 128 else bits
    if keys == "int4":
        return bits - 16 if bits & 8 else bits
    sign, size = (-1 if bits & 8 else 1), Fraction(bits & 7)
    if size == 7:
        size = Fraction(1, 2)
    elif bits == 8:
        size = Fraction(7)
    return int(2 * sign * size)


def run(config: AttentionConfig, kind: str, beats: list[Beat]) -> DintDot:
    """Gives a beat each cycle, with noise round them, and checks each cycle's scores."""
    block = DintDot(config, multipliers=kind)
    bench = Bench(block)
    noise = random.Random(config.head_size)

    def give(ctx: Any, cycle: int) -> None:
        if 5 <= cycle < 5 + len(beats):
            q, keys = beats[cycle - 5]
            ctx.set(block.q.as_value(), pack(block.q.shape(), q))
            ctx.set(block.keys.as_value(), pack(block.keys.shape(), keys))
        else:
            ctx.set(block.q.as_value(), noise.getrandbits(len(block.q.as_value())))
            ctx.set(block.keys.as_value(), noise.getrandbits(len(block.keys.as_value())))

    bench.every(give)
    found = bench.probe(block.scores.as_value())
    bench.run(cycles=5 + len(beats) + block.latency)
    layout = block.scores.shape()
    given = [unpack(layout, word) for word in found.values[5 + block.latency :]]

    q = np.array([each for each, _ in beats])
    keys = np.array([each for _, each in beats])
    if config.keys == "int8":
        keys = keys.astype(np.uint8).astype(np.int8)
    assert given == scores(q[:, None], keys, config)[:, 0].tolist()
    assert given == [
        [sum(a * meaning(config.keys, b) for a, b in zip(q, key, strict=True)) for key in keys]
        for q, keys in beats
    ]
    return block


def codes_of(keys: str) -> list[int]:
    """Every element that the format has, as bits."""
    return (
        list(range(256)) if keys == "int8" else [c for c in range(16) if (keys, c) != ("int4", 8)]
    )


def extremes(keys: str) -> tuple[int, int]:
    """The elements that stand for the least and the largest integer."""
    order = sorted(codes_of(keys), key=lambda bits: meaning(keys, bits))
    return order[0], order[-1]


@pytest.mark.parametrize(("keys", "kind"), KINDS)
def test_every_product(keys: str, kind: str) -> None:
    """Each q with each element; of 4 bits with each pair of them, which may share a multiplier."""
    config, codes = head(keys, 16, 2), codes_of(keys)
    two = list(zip(codes, codes[::-1], strict=True))
    if keys != "int8":
        two = list(product(codes, repeat=2))
    triples = list(product(range(-128, 128), two))
    random.Random(keys).shuffle(triples)
    beats = []
    for k in range(0, len(triples), 16):
        now = triples[k : k + 16]
        beats.append(([q for q, _ in now], [[pair[lane] for _, pair in now] for lane in (0, 1)]))
    run(config, kind, beats)


@pytest.mark.parametrize(("keys", "kind"), KINDS)
@pytest.mark.parametrize(("head_size", "lanes"), [(16, 3), (17, 1), (30, 4), (64, 2)])
def test_random_heads(keys: str, kind: str, head_size: int, lanes: int) -> None:
    """Rows of q that stay, and that change with every beat."""
    rng, codes = random.Random(head_size), codes_of(keys)
    beats: list[Beat] = []
    for length in [9, 1, 1, 1, 5, *[1] * 40]:
        q = [rng.randint(-128, 127) for _ in range(head_size)]
        for _ in range(length):
            beats.append((q, [rng.choices(codes, k=head_size) for _ in range(lanes)]))
    run(head(keys, head_size, lanes), kind, beats)


@pytest.mark.parametrize(("keys", "kind"), KINDS)
def test_the_largest_sums_and_single_elements(keys: str, kind: str) -> None:
    """Largest sums of either sign, side by side; then each element of each lane alone."""
    config = head(keys, 33, 3)
    low, high = extremes(keys)
    n = config.head_size
    beats: list[Beat] = []
    for of_q in ([-128] * n, [127] * n, [0] * n, [-128, 127] * (n // 2) + [-128]):
        for choice in product([low, high, 0], repeat=3):
            beats.append((of_q, [[each] * n for each in choice]))
        beats.append((of_q, [([low, high] * n)[k : k + n] for k in range(3)]))
    for lane, k in product(range(3), range(n)):
        element = [0] * n
        element[k] = high if k % 2 else low
        others = [[0] * n for _ in range(3)]
        beats.append(([-128 if k % 3 else 127] * n, [*others[:lane], element, *others[lane + 1 :]]))
    run(config, kind, beats)


# Cycles that are not the tree's: rows and what joins them, operands and multipliers, last carries.
OWN = {"dint4 lut": 4, "int4 lut": 2, "int8 lut": 3, "dint4 dsp": 3, "int4 dsp": 3, "int8 dsp": 1}


@pytest.mark.parametrize(("keys", "kind"), KINDS)
@pytest.mark.parametrize("head_size", [16, 17, 65])
def test_latency(keys: str, kind: str, head_size: int) -> None:
    beats: list[Beat] = [([1] * head_size, [[2] * head_size])]
    block = run(head(keys, head_size, 1), kind, beats)
    assert block.latency == OWN[f"{keys} {kind}"] + ceil_log2(head_size)


@pytest.mark.usefixtures("unused_components")
@pytest.mark.parametrize("wrong", [12, None, "dint4", {"head_size": 16}, SoftmaxConfig()], ids=repr)
def test_a_head_is_wanted(wrong: Any) -> None:
    message = re.escape(f"config must be an exaq.attention.AttentionConfig, not {wrong!r}")
    with pytest.raises(TypeError, match=rf"\A{message}\Z"):
        DintDot(wrong)


@pytest.mark.usefixtures("unused_components")
def test_known_multipliers_are_wanted() -> None:
    with pytest.raises(ValueError, match=r"\Amultipliers must be lut or dsp, not 'bram'\Z"):
        DintDot(head("int4", 16, 1), multipliers="bram")
