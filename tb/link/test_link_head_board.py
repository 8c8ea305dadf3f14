"""``exaq_fpga.HeadBoard`` against boards that keep to docs/link.md, over lines that do not."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from fake_board import FakeBoard, Noise
from fake_head import FakeHead, head_identity
from head_messages import BEGIN_HEAD, KEYS_VALUES, QUERIES
from in_memory import InMemory

from exaq import SoftmaxConfig
from exaq.attention import AttentionConfig, attend
from exaq_fpga import Board, HeadBoard, LinkError, RefusedError, WrongDeviceError

SMALL: dict[str, Any] = {"head_size": 16, "lanes": 2, "max_row": 32, "logit_scale": 2**-5}
CONFIG = AttentionConfig(**SMALL)
CAUSAL = AttentionConfig(**SMALL, causal=True)
TIMEOUT = 0.05


def operands(
    config: AttentionConfig,
    heads: tuple[int, ...] = (),
    *,
    rows: int = 20,
    keys: int = 20,
    of_keys: tuple[int, ...] | None = None,
) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(rows + keys)
    of_keys = heads if of_keys is None else of_keys
    low, high = (-128, 128) if config.keys == "int8" else (0, 16)
    k = rng.integers(low, high, (*of_keys, keys, config.head_size))
    if config.keys == "int4":
        k[k == 8] = 7
    half = 2 ** (config.value_width - 1)
    v = rng.integers(-half, half, (*of_keys, keys, config.head_size))
    return rng.integers(-9, 10, (*heads, rows, config.head_size)), k, v


def equal(found: Any, given: tuple[Any, Any, Any], config: AttentionConfig) -> None:
    expected = attend(*given, config)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"causal": True},
        {"keys": "int8", "value_width": 4, "output_width": 8, "head_size": 17},
        {"keys": "int4", "head_size": 33, "bits": 3, "causal": True},
        {"head_size": 256, "value_width": 4, "max_row": 8},
        {"keys": "int8", "head_size": 256, "max_row": 8},
    ],
)
def test_heads_of_every_kind(changes: dict[str, Any]) -> None:
    config = AttentionConfig(**SMALL | changes)
    keys = config.softmax.max_row
    given = operands(config, (3,), rows=keys + 3, keys=keys)
    fake = FakeHead(config)
    done: list[tuple[int, int]] = []
    with HeadBoard(InMemory(fake)) as board:
        assert board.config == config
        found = board.attend(*given, progress=lambda *both: done.append(both))
        assert board.link.resent == board.link.dropped == board.link.strange == 0
    equal(found, given, config)
    assert done[-1] == (3 * (keys + 3),) * 2
    assert done == sorted(set(done))
    assert fake.complaints == []
    assert fake.counters["overflows"] == 0
    assert fake.asked.count(BEGIN_HEAD) == 3


def test_shapes_and_types_as_attend_takes_them() -> None:
    fake = FakeHead(CONFIG)
    q, k, v = operands(CONFIG, rows=5, keys=7)
    with HeadBoard(InMemory(fake)) as board:
        for given in (
            (q, k, v),
            (q.astype(np.int8), k.astype(np.uint8), v.astype(">i4")),
            (q[:, ::-1], k[::-1], v.tolist()),
            (q[None, :, :], k, v),
        ):
            equal(board.attend(*given), given, CONFIG)


def test_queries_that_share_keys_have_them_sent_once() -> None:
    fake = FakeHead(CAUSAL)
    q, k, v = operands(CAUSAL, (2, 3), rows=6, keys=6, of_keys=(2, 1))
    with HeadBoard(InMemory(fake)) as board:
        equal(board.attend(q, k, v), (q, k, v), CAUSAL)
        assert fake.asked.count(BEGIN_HEAD) == 2
        # Keys that are alike but not the same are other keys.
        fake.asked.clear()
        given = (q, np.broadcast_to(k[:, 0:1], (2, 3, 6, 16)).copy(), v)
        equal(board.attend(*given), given, CAUSAL)
        assert fake.asked.count(BEGIN_HEAD) == 6


@pytest.mark.parametrize(("buffer", "window"), [(512, 4096), (512, 40), (1024, 300), (8192, 10)])
def test_neither_side_is_overrun(buffer: int, window: int) -> None:
    given = operands(CONFIG, (2,), rows=60, keys=30)
    fake = FakeHead(CONFIG, buffer=buffer, window=window)
    with HeadBoard(InMemory(fake), window=window) as board:
        equal(board.attend(*given), given, CONFIG)
    assert fake.complaints == []
    assert fake.counters["overflows"] == 0
    assert fake.deepest > 2 or buffer > 4096


@pytest.mark.parametrize("number", range(2, 15))
@pytest.mark.parametrize("what", ["deaf", "mute", "doubled", "echoed"])
def test_every_message_may_be_lost_or_come_twice(what: str, number: int) -> None:
    """Of one causal head: BEGIN_HEAD, keys and values, rows."""
    given = operands(CAUSAL, rows=30, keys=30)
    fake = FakeHead(CAUSAL, buffer=512, **{what: {number}})
    with HeadBoard(InMemory(fake), timeout=TIMEOUT) as board:
        equal(board.attend(*given), given, CAUSAL)
        lost = what in ("deaf", "mute")
        # What comes twice fills the board's buffer, so that others may be lost.
        assert board.link.resent == 1 or not lost
    assert fake.complaints == []
    # No more than what was on its way is sent in vain behind a part that was lost.
    assert fake.asked.count(KEYS_VALUES) <= 8 + 5
    assert fake.asked.count(QUERIES) <= 8 + 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("config", [CONFIG, CAUSAL])
def test_bad_lines(config: AttentionConfig, seed: int) -> None:
    given = operands(config, (2,), rows=32, keys=32)
    noise = [Noise(seed + k, 0.002, begin=40) for k in (0, 100)]
    fake = FakeHead(config, buffer=1024, from_host=noise[0], to_host=noise[1])
    with HeadBoard(InMemory(fake), timeout=TIMEOUT, retries=20) as board:
        equal(board.attend(*given), given, config)
        assert board.link.resent > 0
    assert all(each.faults for each in noise)


def test_after_an_interrupt_the_next_head_is_right() -> None:
    given = operands(CAUSAL, (2,), rows=32, keys=32)
    fake = FakeHead(CAUSAL, buffer=512)

    def interrupt(done: int, total: int) -> None:
        if done > 10:
            raise KeyboardInterrupt

    with HeadBoard(InMemory(fake)) as board:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                board.attend(*given, progress=interrupt)
            equal(board.attend(*given), given, CAUSAL)
    # Another host finds keys of a head that the one before left.
    fake.model.keys = fake.model.keys[:4]
    fake.model.complete = False
    with HeadBoard(InMemory(fake)) as board:
        equal(board.attend(*given), given, CAUSAL)


@pytest.mark.parametrize("at", range(4, 15))
def test_a_reset_in_the_midst_is_noticed_or_does_no_harm(at: int) -> None:
    given = operands(CAUSAL, rows=30, keys=30)
    fake = FakeHead(CAUSAL, buffer=512, reset_at=at)
    with HeadBoard(InMemory(fake), timeout=TIMEOUT) as board, suppress(LinkError):
        equal(board.attend(*given), given, CAUSAL)
    assert fake.reset_at is None


@pytest.mark.parametrize("kind", [BEGIN_HEAD, KEYS_VALUES])
def test_keys_that_are_lost_are_missed(kind: int) -> None:
    """A board that takes no keys, and one that has lost them when rows come."""
    given = operands(CONFIG, rows=3, keys=3)

    def forget(number: int, message: bytes) -> bytes:
        if message[0] == kind | 0x80:
            fake.model.complete = kind == BEGIN_HEAD
        return message

    fake = FakeHead(CONFIG, alter=forget)
    board = HeadBoard(InMemory(fake))
    for message in ("the board was reset in the meantime and has lost its keys", "closed"):
        with pytest.raises(LinkError, match=message):
            board.attend(*given)


def test_a_status_that_cannot_be_is_refused() -> None:
    given = operands(CONFIG, rows=3, keys=3)

    def alter(number: int, message: bytes) -> bytes:
        flagged = message[:-1] + b"\2"
        return flagged if message[0] == QUERIES | 0x80 else message

    with (
        HeadBoard(InMemory(FakeHead(CONFIG, alter=alter))) as board,
        pytest.raises(RefusedError, match=r"error in rows 0 to 2 \(status 2\)"),
    ):
        board.attend(*given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": np.zeros((2, 15), int)}, r"q of shape \(2, 15\) must be \(..., rows, 16\)"),
        ({"v": np.zeros((3, 15), int)}, r"v of shape \(3, 15\) must be"),
        ({"k": np.zeros(16, int)}, r"k of shape \(16,\) must be"),
        ({"q": np.zeros((0, 16), int)}, r"q of shape \(0, 16\) is empty"),
        ({"v": np.zeros((4, 16), int)}, "as many values as keys, 3, not 4"),
        ({"k": np.zeros((33, 16), int), "v": np.zeros((33, 16), int)}, r"in 1\.\.32"),
        ({"k": np.zeros((0, 16), int), "v": np.zeros((0, 16), int)}, "is empty"),
        ({"q": np.full((2, 16), 128)}, "128"),
        ({"k": np.full((3, 16), 16)}, "16"),
        ({"v": np.full((3, 16), -129)}, "-129"),
        ({"q": np.zeros((2, 16))}, "must be integers, not float64"),
        ({"q": np.zeros((2, 2, 16), int), "k": np.zeros((3, 3, 16), int)}, "leading axes"),
    ],
)
def test_operands_that_no_head_takes(change: dict[str, Any], message: str) -> None:
    q, k, v = operands(CONFIG, rows=2, keys=3)
    given = {"q": q, "k": k, "v": v} | change
    with (
        HeadBoard(InMemory(FakeHead(CONFIG))) as board,
        pytest.raises((TypeError, ValueError), match=message),
    ):
        board.attend(**given)


def test_hosts_refuse_the_boards_of_each_other_by_name() -> None:
    softmax = FakeBoard(SoftmaxConfig(max_row=64))
    with pytest.raises(
        WrongDeviceError,
        match=r"the board fake holds a softmax unit, not an attention head: exaq_fpga\.Board, or",
    ):
        HeadBoard(InMemory(softmax))
    with pytest.raises(
        WrongDeviceError,
        match=r"the board fake holds an attention head, not a softmax unit: exaq_fpga\.HeadBoard,",
    ):
        Board(InMemory(FakeHead(CONFIG)))
    assert softmax.counters["rejected"] == 0


def test_a_unit_that_this_version_does_not_know() -> None:
    fake = FakeHead(CONFIG, identity=head_identity(CONFIG, unit="convolution"))
    with pytest.raises(WrongDeviceError, match="cannot be read by this version: 'convolution'"):
        HeadBoard(InMemory(fake))
