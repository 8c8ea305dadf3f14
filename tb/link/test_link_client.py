"""``exaq_fpga.Board`` against boards that keep to docs/link.md, over lines that do not."""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np
import pytest
from fake_board import ERROR, IDENTIFY, LOAD_TABLES, ROWS, STATUS, FakeBoard, Noise, framed

import exaq
from exaq import SoftmaxConfig, Tables
from exaq_cosim import golden
from exaq_fpga import Board, LinkError, RefusedError, SerialPort, UnknownTablesError
from exaq_fpga.link.protocol import Fault, buffer_octets

CONFIG = SoftmaxConfig(max_row=64)
# Long enough for a busy machine; damage that can be seen is not waited for.
TIMEOUT = 0.4
STEEP = Tables(thresholds=(-3, -2, -1), exp_rom=(1, 10, 100, 8192))
FLAT = Tables(thresholds=(-120, -80, -40), exp_rom=(5000, 6000, 7000, 8192))


def logits(*shape: int, config: SoftmaxConfig = CONFIG, seed: int = 1) -> np.ndarray[Any, Any]:
    low, high = config.logit_range
    return np.random.default_rng(seed).integers(low, high + 1, shape)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"bits": 3, "lanes": 8, "masking": False},
        {"logit_width": 12, "prob_bits": 20},
        {"logit_width": 4, "prob_bits": 8, "contexts": 3},
        {"logit_width": 24, "prob_bits": 24, "contexts": 1},
    ],
)
def test_rows_of_every_kind(changes: dict[str, Any]) -> None:
    config = SoftmaxConfig(max_row=64, **changes)
    rng = np.random.default_rng(3)
    x = logits(5, 30, 40, config=config)
    given: dict[str, Any] = {"lengths": rng.integers(1, 41, (5, 30))}
    if config.masking:
        given["mask"] = rng.random(x.shape) < rng.choice([0, 0.5, 1], (5, 30, 1))
    if config.contexts:
        given["contexts"] = rng.integers(0, config.contexts, 30)
    with FakeBoard(config) as fake, Board(fake.port) as board:
        assert board.config == config
        assert board.identity.board == "fake"
        done: list[tuple[int, int]] = []
        probabilities = board.softmax(x, **given, progress=lambda *both: done.append(both))
        expected = golden(x, config, **given)
        np.testing.assert_array_equal(probabilities, expected)
        assert probabilities.dtype == expected.dtype
        assert done[-1] == (150, 150)
        assert done == sorted(set(done))
        assert board.link.resent == board.link.dropped == board.link.strange == 0
        assert board.status()["rows"] == 150
    assert fake.complaints == []
    assert fake.counters["overflows"] == 0


def test_shapes_types_and_masks_as_exaq_softmax_takes_them() -> None:
    x = logits(3, 20)
    with FakeBoard(CONFIG) as fake, Board(fake.port) as board:
        for array in (x, x.astype(np.int8), x.astype(">i4"), x[0], x[:, ::-1], x.tolist()):
            expected = exaq.softmax(array, CONFIG)
            np.testing.assert_array_equal(board.softmax(array), expected)
        mask = np.arange(20) % 3 > 0
        np.testing.assert_array_equal(board.softmax(x, mask=mask), exaq.softmax(x, CONFIG, mask))
        np.testing.assert_array_equal(board.softmax(x, mask=np.zeros(20, bool)), np.zeros_like(x))


@pytest.mark.parametrize(
    ("buffer", "window", "row"),
    [(512, 4096, 60), (512, 4096, 58), (512, 100, 12), (4096, 300, 40), (8192, 10, 3)],
)
def test_neither_side_is_overrun(buffer: int, window: int, row: int) -> None:
    x = logits(200, row)
    with (
        FakeBoard(CONFIG, buffer=buffer, window=window) as fake,
        Board(fake.port, window=window) as board,
    ):
        fake.lag = 0.003
        np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, CONFIG))
    assert fake.complaints == []
    assert fake.counters["overflows"] == 0
    # All that may be under way is: else the line would stand still between messages.
    assert fake.deepest > 2 or window < 2 * row * 3


@pytest.mark.parametrize(("max_row", "prob_bits"), [(64, 24), (1024, 16), (16384, 24)])
def test_the_longest_rows_keep_the_line_busy(max_row: int, prob_bits: int) -> None:
    """One is answered, one waits in the board, one is on its way."""
    config = SoftmaxConfig(max_row=max_row, prob_bits=prob_bits)
    x = logits(5, max_row)
    room = buffer_octets(config)
    # The window is the board's own choice, so it is not for the fake to judge.
    with FakeBoard(config, buffer=room, window=10**9) as fake, Board(fake.port) as board:
        fake.lag = 0.05
        np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, config))
    assert fake.deepest >= 3
    assert fake.complaints == []
    assert fake.counters["overflows"] == 0


def test_rows_that_fill_the_board_one_by_one() -> None:
    config = SoftmaxConfig(max_row=4096, logit_width=24)
    x = logits(4, 4096, config=config)
    mask = np.random.default_rng(1).random(x.shape) < 0.8
    with FakeBoard(config, buffer=16384) as fake, Board(fake.port) as board:
        probabilities = board.softmax(x, mask=mask)
    assert fake.deepest == 1
    np.testing.assert_array_equal(probabilities, exaq.softmax(x, config, mask))
    assert fake.complaints == []


@pytest.mark.parametrize("kinds", ["f", "d", "x", "i", "fdxi"])
@pytest.mark.parametrize("seed", range(2))
def test_noise_in_both_directions(kinds: str, seed: int) -> None:
    x = logits(150, 48, seed=seed)
    mask = np.random.default_rng(seed).random(x.shape) < 0.9
    towards, back = Noise(seed, 2e-3, kinds), Noise(seed + 50, 2e-3, kinds)
    with (
        FakeBoard(CONFIG, from_host=towards, to_host=back) as fake,
        Board(fake.port, timeout=TIMEOUT) as board,
    ):
        probabilities = board.softmax(x, mask=mask)
    np.testing.assert_array_equal(probabilities, exaq.softmax(x, CONFIG, mask))
    assert min(towards.faults, back.faults) > 3
    assert 0 < board.link.resent - board.link.probes < 2 * (towards.faults + back.faults) + 20
    assert fake.complaints == []


def test_a_line_on_which_hardly_a_long_message_passes() -> None:
    x = logits(40, 32)
    towards, back = Noise(1, 8e-3, begin=100), Noise(2, 8e-3, begin=600)
    with (
        FakeBoard(CONFIG, from_host=towards, to_host=back) as fake,
        Board(fake.port, timeout=TIMEOUT) as board,
    ):
        np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, CONFIG))
    assert towards.faults + back.faults > 40
    assert fake.complaints == []


# Requests 0 and 1 are IDENTIFY and STATUS, 2 to 9 rows.
@pytest.mark.parametrize("place", range(2, 10))
@pytest.mark.parametrize("what", ["deaf", "mute", "doubled", "echoed"])
def test_any_one_message_lost_or_doubled(what: str, place: int) -> None:
    x = logits(8, 60)
    fault: Any = {what: {place}}
    with (
        FakeBoard(CONFIG, buffer=512, **fault) as fake,
        Board(fake.port, timeout=0.1) as board,
    ):
        np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, CONFIG))
        # What came twice has been read when this is answered.
        board.status()
        assert board.link.resent == (what in ("deaf", "mute"))
        assert board.link.requests == 10 + board.link.resent + board.link.probes
        assert board.link.strange == (what in ("doubled", "echoed"))
    assert fake.complaints == []


@pytest.mark.parametrize("seed", range(6))
def test_many_messages_lost_and_doubled(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = logits(40, 60)
    faults: Any = {
        name: set(rng.integers(2, 60, 6).tolist()) for name in ("deaf", "mute", "doubled", "echoed")
    }
    with FakeBoard(CONFIG, buffer=1024, **faults) as fake, Board(fake.port, timeout=0.1) as board:
        np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, CONFIG))
        assert 0 < board.link.resent <= 8 * 12
    assert fake.complaints == []


def test_faults_that_the_board_reports_are_counted() -> None:
    x = logits(60, 60)
    with FakeBoard(CONFIG) as fake, Board(fake.port, timeout=TIMEOUT) as board:
        fake.from_host = Noise(5, 2e-3, "f")
        np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, CONFIG))
        assert board.link.reports > 0
        assert board.link.faults == Fault.DAMAGED
        assert board.link.dropped == 0


def test_an_answer_of_the_wrong_length_is_asked_for_again() -> None:
    x = logits(20, 60)
    faults = iter([bytes, lambda answer: answer[:-3] + b"\0", bytes, lambda answer: answer + b"\0"])

    def alter(number: int, answer: bytes) -> bytes:
        return next(faults, bytes)(answer) if answer[0] == 0x80 | ROWS else answer

    with (
        FakeBoard(CONFIG, alter=alter) as fake,
        Board(fake.port, timeout=TIMEOUT, window=4096) as board,
    ):
        np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, CONFIG))
        # The same batch twice: whole the first time, then in two halves.
        assert (board.link.strange, board.link.resent) == (2, 3)


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        (lambda answer: answer[:-1] + b"\1", "the board calls the message of rows 0 to 11 malf"),
        (lambda answer: answer[:50] + b"\1", "the board calls the message of rows 0 to 11 malf"),
        (
            lambda answer: answer[:-1] + b"\2",
            r"the board reports an error in rows 0 to 11 \(status 2\)$",
        ),
        (
            lambda answer: bytes([ERROR, answer[1], 8]),
            "the board refuses the request ROWS: unknown$",
        ),
        (
            lambda answer: bytes([ERROR, answer[1], 16]),
            "the board refuses the request ROWS: malformed$",
        ),
        (
            lambda answer: bytes([ERROR, answer[1]]),
            "the board refuses the request ROWS: without a reason$",
        ),
    ],
)
def test_what_the_board_refuses(instead: Any, message: str) -> None:
    alter = {2: instead}
    with (
        FakeBoard(CONFIG, alter=lambda n, answer: alter.get(n, bytes)(answer)) as fake,
        Board(fake.port, window=4096) as board,
    ):
        x = logits(30, 40)
        with pytest.raises(RefusedError, match=f"^{message}"):
            board.softmax(x)
        # What was under way then is nobody's answer now.
        np.testing.assert_array_equal(board.softmax(x + 0), exaq.softmax(x, CONFIG))


def test_a_board_that_falls_silent() -> None:
    with FakeBoard(CONFIG, silent_from=5) as fake:
        board = Board(fake.port, timeout=0.15, retries=3)
        message = (
            "the board does not answer any more: 3 requests for its status, 0.15 s apart, were "
            "in vain"
        )
        with pytest.raises(LinkError, match=f"^{message}$"):
            board.softmax(logits(60, 60))
        with pytest.raises(LinkError, match=r"^the board is closed$"):
            board.status()


def test_a_request_that_never_passes() -> None:
    x = logits(1, 60)
    with (
        FakeBoard(CONFIG) as fake,
        Board(fake.port, timeout=TIMEOUT, retries=2) as board,
    ):
        fake.alter = lambda n, answer: answer if answer[0] != 0x80 | ROWS else answer[:9] + b"\0"
        with pytest.raises(
            LinkError,
            match=r"^a ROWS request of 64 octets, or its answer, was lost 9 times in turn: "
            r"the line is too bad$",
        ):
            board.softmax(x)


def test_the_port_goes_away() -> None:
    with FakeBoard(CONFIG) as fake, Board(port := SerialPort(fake.port)) as board:
        descriptor = port._serial.fd
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, descriptor)
        os.close(null)
        with pytest.raises(LinkError, match=f"^the port {fake.port} went away: "):
            board.status()


class TestTables:
    CONFIG = SoftmaxConfig(max_row=64, contexts=3)

    def test_loaded_tables_are_those_of_later_rows(self) -> None:
        x, contexts = logits(60, 50), np.arange(60) % 3
        with FakeBoard(self.CONFIG) as fake, Board(fake.port) as board:
            before = board.softmax(x, contexts=contexts)
            np.testing.assert_array_equal(before, exaq.softmax(x, self.CONFIG, contexts=contexts))
            board.load_tables(1, STEEP)
            board.load_tables(2, FLAT)
            loaded = self.CONFIG.replace(context_tables=(self.CONFIG.tables, STEEP, FLAT))
            assert board.config == loaded
            assert fake.tables == list(loaded.context_tables)
            after = board.softmax(x, contexts=contexts)
        np.testing.assert_array_equal(after, exaq.softmax(x, loaded, contexts=contexts))
        assert (after != before).any()

    @pytest.mark.parametrize("what", ["deaf", "mute", "doubled", "echoed"])
    def test_a_load_that_is_lost_or_doubled(self, what: str) -> None:
        fault: Any = {what: {2}}
        x = logits(60, 50)
        with FakeBoard(self.CONFIG, **fault) as fake, Board(fake.port, timeout=0.1) as board:
            board.load_tables(0, FLAT)
            np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, board.config))
        assert fake.asked.count(LOAD_TABLES) == {"deaf": 1, "echoed": 1}.get(what, 2)

    def test_tables_of_another_program_are_not_guessed(self) -> None:
        x = logits(6, 50)
        with FakeBoard(self.CONFIG) as fake:
            with Board(fake.port) as first:
                first.load_tables(1, STEEP)
            with Board(fake.port) as second:
                with pytest.raises(
                    UnknownTablesError,
                    match=r"^another program has loaded tables into the board, so those of "
                    r"context 0 are unknown: load them anew, or reset the board$",
                ):
                    second.softmax(x)
                second.load_tables(0, FLAT)
                np.testing.assert_array_equal(second.softmax(x), exaq.softmax(x, second.config))
                with pytest.raises(UnknownTablesError, match="context 2 are unknown"):
                    second.softmax(x, contexts=[0, 0, 0, 0, 2, 0])

    def test_a_board_that_was_reset_has_lost_its_tables(self) -> None:
        with FakeBoard(self.CONFIG, reset_at=6) as fake, Board(fake.port, timeout=0.1) as board:
            board.load_tables(0, FLAT)
            with pytest.raises(
                LinkError,
                match=r"^the board was reset in the meantime and has lost its tables$",
            ):
                board.softmax(logits(200, 50))

    @pytest.mark.parametrize(
        ("status", "what"),
        [
            (1, "their number"),
            (2, "the context"),
            (12, "the thresholds and the exponentials"),
            (32, "status 32"),
        ],
    )
    def test_tables_that_the_board_refuses(self, status: int, what: str) -> None:
        with FakeBoard(self.CONFIG) as fake, Board(fake.port) as board:
            fake.alter = lambda n, answer: answer[:2] + bytes([status])
            with pytest.raises(
                RefusedError,
                match=f"^the board refuses tables of 8 words for context 1: it objects to {what}$",
            ):
                board.load_tables(1, STEEP)
            assert board.config == self.CONFIG
            with pytest.raises(UnknownTablesError, match="context 1 are unknown"):
                board.softmax(logits(1, 4), contexts=1)

    def test_tables_that_fit_no_context(self) -> None:
        with FakeBoard(self.CONFIG) as fake, Board(fake.port) as board:
            with pytest.raises(ValueError, match=r"^context must be in 0\.\.2, not 3$"):
                board.load_tables(3, STEEP)
            wide = Tables(thresholds=(-3, -2, -1), exp_rom=(1, 1, 1, 2**14))
            with pytest.raises(ValueError, match=r"^exp_rom values must be below 16384"):
                board.load_tables(0, wide)
        with (
            FakeBoard(CONFIG) as fake,
            Board(fake.port) as board,
            pytest.raises(ValueError, match=r"without contexts takes no tables at run time$"),
        ):
            board.load_tables(0, STEEP)


def test_an_interrupt_leaves_board_and_object_usable() -> None:
    x, other = logits(300, 60), logits(300, 60, seed=2)
    done: list[int] = []

    def interrupt(rows: int, total: int) -> None:
        if rows > 100:
            raise KeyboardInterrupt

    with FakeBoard(CONFIG) as fake:
        with Board(fake.port) as board:
            for _ in range(3):
                with pytest.raises(KeyboardInterrupt):
                    board.softmax(x, progress=interrupt)
                done.clear()
                again = board.softmax(other, progress=lambda rows, total: done.append(rows))
                np.testing.assert_array_equal(again, exaq.softmax(other, CONFIG))
                # No answer to the run before was taken for one of this.
                assert done[-1] == 300
            with pytest.raises(KeyboardInterrupt):
                board.softmax(x, progress=interrupt)
        with Board(fake.port) as board:
            np.testing.assert_array_equal(board.softmax(other), exaq.softmax(other, CONFIG))
    assert fake.complaints == []


@pytest.mark.parametrize("tag", range(0, 256, 17))
def test_what_an_earlier_host_left_behind(tag: int) -> None:
    """Requests of all tags whose answers nobody took, and a frame cut off in its middle."""
    x = logits(40, 60)
    row = struct.pack("<HH", 59, 0) + bytes(60)
    with FakeBoard(CONFIG) as fake:
        host = os.open(fake.port, os.O_RDWR | os.O_NOCTTY)
        for step in range(20):
            os.write(host, framed(bytes([ROWS, (tag + step) % 256]) + row))
        os.write(host, framed(bytes([STATUS, tag])) + framed(bytes([ROWS, tag]) + row)[:30])
        os.close(host)
        with Board(fake.port) as board:
            np.testing.assert_array_equal(board.softmax(x), exaq.softmax(x, CONFIG))
    assert fake.counters["damaged"] == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"logits": [[1.5]]}, "logits must be integers, not float64"),
        ({"logits": [[200]]}, "logits of 8 bits must be in -128..127, not 200"),
        ({"logits": np.zeros((1, 65), int)}, "a row must have 1..64 elements, not 65"),
        ({"logits": [[1, 2]], "lengths": 3}, "lengths must be in 1..2, not 3"),
        (
            {"logits": [[1, 2]], "contexts": 0},
            "a configuration without contexts takes no contexts",
        ),
    ],
)
def test_arguments_are_checked_before_anything_is_sent(given: dict[str, Any], message: str) -> None:
    with FakeBoard(CONFIG) as fake, Board(fake.port) as board:
        with pytest.raises((TypeError, ValueError)) as caught:
            board.softmax(**given)
        assert str(caught.value) == message
        assert board.link.requests == 1
    assert fake.asked == [IDENTIFY, STATUS]
