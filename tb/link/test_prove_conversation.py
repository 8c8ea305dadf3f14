"""What a proof asks a board: everything that can be wrong with the answers is seen.

The board is that of ``fake_board``: Python, made from docs/link.md alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
from fake_board import DAMAGED, ROWS, STATUS, FakeBoard

from exaq import SoftmaxConfig
from exaq_fpga.boards import BOARDS
from exaq_fpga.flow.bitstreams.prepared import Prepared, prepare
from exaq_fpga.prove import conversation
from exaq_fpga.prove.conversation import Findings, converse
from exaq_fpga.prove.proof_rows import proof_rows

CONFIG = SoftmaxConfig(bits=2, lanes=4, max_row=32)
Message = Callable[[int, bytes], bytes]


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(BOARDS["icebreaker"], CONFIG)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "_PATIENCE", 0.3)


def found(
    prepared: Prepared, kind: type[FakeBoard] = FakeBoard, **changes: Any
) -> tuple[Findings, FakeBoard]:
    identity = prepared.identity.to_octets()
    settings: dict[str, Any] = {"identity": identity, "buffer": prepared.identity.buffer} | changes
    with kind(prepared.softmax, **settings) as board:
        return converse(board.port, prepared, proof_rows(prepared.softmax, 2000)), board


def altered(kind: int, change: Callable[[bytearray], None], answers: range) -> Message:
    """Changes those answers to requests of ``kind`` whose numbers, among these, are given."""
    seen = iter(range(1000))

    def alter(number: int, message: bytes) -> bytes:
        body = bytearray(message)
        if message[0] == kind | 0x80 and next(seen) in answers:
            change(body)
        return bytes(body)

    return alter


def counter(place: int, by: int) -> Callable[[bytearray], None]:
    """Changes one of the numbers that STATUS tells."""

    def change(message: bytearray) -> None:
        at = 2 + 4 * place
        value = int.from_bytes(message[at : at + 4], "little") + by
        message[at : at + 4] = value.to_bytes(4, "little")

    return change


def test_a_good_board_is_found_good(prepared: Prepared) -> None:
    findings, board = found(prepared)
    assert (findings.mismatches, findings.faults) == (0, [])
    rows = proof_rows(prepared.softmax, 2000)
    again = rows.first(8)
    assert findings.rows == len(rows.lengths) + 8
    assert findings.elements == rows.elements + again.elements
    assert board.counters["damaged"] == 1
    assert board.counters["overflows"] > 0
    assert board.counters["rejected"] == 4
    # Of overrunning the buffer, and only of that, the board complains.
    assert all("in a buffer of" in complaint for complaint in board.complaints)


def test_a_good_board_with_contexts_is_found_good(prepared: Prepared) -> None:
    config = SoftmaxConfig(bits=2, lanes=4, max_row=32, contexts=3)
    identity = dataclasses.replace(prepared.identity, config=config)
    with_contexts = dataclasses.replace(prepared, config=config, identity=identity)
    findings, board = found(with_contexts)
    assert (findings.mismatches, findings.faults) == (0, [])
    assert board.counters["loads"] == 3
    assert board.tables[1] != config.context_tables[1]


def test_every_wrong_element_counts(prepared: Prepared) -> None:
    def change(message: bytearray) -> None:
        message[2] ^= 1
        message[5] ^= 0x80

    findings, _ = found(prepared, alter=altered(ROWS, change, range(1)))
    assert (findings.mismatches, findings.faults) == (2, [])


def test_another_identity_is_a_fault(prepared: Prepared) -> None:
    other = dataclasses.replace(prepared.identity, clock=prepared.identity.clock + 1)
    findings, _ = found(prepared, identity=other.to_octets())
    assert findings.faults[0] == "the board's identity is not that it was built to have"


@pytest.mark.parametrize(("place", "name"), [(1, "damaged"), (3, "line_errors"), (5, "rows")])
def test_a_wrong_counter_is_a_fault(prepared: Prepared, place: int, name: str) -> None:
    # The first STATUS is the client's own, the second ends the rows.
    findings, _ = found(prepared, alter=altered(STATUS, counter(place, 1), range(1, 2)))
    true = len(proof_rows(prepared.softmax, 2000).lengths) if name == "rows" else 0
    assert findings.faults == [f"the board counts {true + 1} {name}, not {true}"]
    assert findings.mismatches == 0


def test_what_is_lost_on_a_good_line_is_a_fault(prepared: Prepared) -> None:
    findings, _ = found(prepared, mute=[3])
    assert findings.faults[-1].startswith("an undisturbed link was not smooth: ")
    assert findings.mismatches == 0


class Shameless(FakeBoard):
    """Counts what it drops, and does not report it."""

    def _fault(self, counter: str, fault: int) -> None:
        self.counters[counter] += 1


class Careless(FakeBoard):
    """Reports what it drops, and does not count it."""

    def _fault(self, counter: str, fault: int) -> None:
        self._faults |= fault


class Forgetful(FakeBoard):
    """Says nothing of frames that find no room."""

    def _fault(self, counter: str, fault: int) -> None:
        if counter != "overflows":
            super()._fault(counter, fault)


def test_damage_that_is_not_reported_is_a_fault(prepared: Prepared) -> None:
    findings, _ = found(prepared, Shameless)
    damaged, flooded = findings.faults
    assert damaged.startswith("a damaged frame was answered by ['82ff")
    assert flooded == "a flood was reported by []"


def test_damage_that_is_not_counted_is_a_fault(prepared: Prepared) -> None:
    findings, _ = found(prepared, Careless)
    flooded, counted = findings.faults
    assert re.fullmatch(r"of \d+ rows of a flood \d+ came back and 0 were lost", flooded)
    assert counted == "the board counts 0 damaged, not 1"


def test_rows_that_vanish_are_a_fault(prepared: Prepared) -> None:
    findings, _ = found(prepared, Forgetful)
    reported, flooded = findings.faults
    assert reported == "a flood was reported by []"
    assert re.fullmatch(r"of \d+ rows of a flood \d+ came back and 0 were lost", flooded)


def test_a_wrong_row_of_a_flood_is_a_fault(prepared: Prepared) -> None:
    changed: list[int] = []
    refusals: list[int] = []

    def alter(number: int, message: bytes) -> bytes:
        if message[0] == 0xFF:
            refusals.append(number)
        if message[0] == ROWS | 0x80 and message[1] == 12 and refusals and not changed:
            changed.append(number)
            return message[:2] + bytes([message[2] ^ 1]) + message[3:]
        return message

    findings, _ = found(prepared, alter=alter)
    assert findings.faults == ["1 elements of a flood came back wrong"]


def test_a_wrong_refusal_is_a_fault(prepared: Prepared) -> None:
    def alter(number: int, message: bytes) -> bytes:
        return message[:2] + b"\x10" if message[0] == 0xFF and message[1] == 1 else message

    findings, _ = found(prepared, alter=alter)
    assert findings.faults == ["an unknown type was answered by ff0110"]


def test_a_board_that_falls_silent_is_a_fault(prepared: Prepared) -> None:
    findings, _ = found(prepared, silent_from=4)
    (fault,) = findings.faults
    assert fault.startswith("the board does not answer any more")
    assert findings.rows == 0


def test_a_silent_board_is_a_fault(prepared: Prepared) -> None:
    findings, _ = found(prepared, silent_from=0)
    (fault,) = findings.faults
    assert fault.startswith("nothing answers at ")


class Endless(FakeBoard):
    """Sends for ever once a frame was damaged."""

    def idle(self) -> None:
        super().idle()
        if self.counters["damaged"]:
            self._faults = DAMAGED


def test_a_board_that_sends_for_ever_is_a_fault(prepared: Prepared) -> None:
    findings, _ = found(prepared, Endless)
    most = 10 * (prepared.identity.buffer + 1024)
    assert findings.faults[-1] == f"the board sends on after {most} octets"
