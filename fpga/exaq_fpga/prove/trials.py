"""What no careful host does: damaged frames, requests that are refused, an overrun buffer."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import exaq
from exaq import SoftmaxConfig
from exaq.rows import Rows
from exaq_fpga.link.frames import encode_frame
from exaq_fpga.link.protocol import (
    ANSWER,
    COUNTERS,
    ERROR,
    HEADER,
    LOAD_WORD,
    MASKED,
    OVERHEAD,
    Fault,
    Identity,
    RowsStatus,
    Type,
    row_octets,
)
from exaq_fpga.link.row_messages import RowPacker, RowRange
from exaq_fpga.prove.wire import Wire

_SEED = 21
_STATUS_TAG = 255
# Rows of a flood, about; and at most, for the sake of their tags.
_FLOOD = 160
_TAGS = 250
# Octets of answers that a board may have ready before the line has taken them. Beside these and
# its buffer, the unit itself holds a longest row, less than a third of the buffer.
_AHEAD = 1024
# Answers to rows of a flood after which there is room again for another request.
_DRAINED = 10
_LONGEST = 65536


def damage(wire: Wire) -> list[str]:
    """A frame with a wrong bit, and at once a good one behind it. What was wrong, a line each."""
    bad = bytearray(encode_frame(bytes([Type.STATUS, 1])))
    bad[1] ^= 0x10
    got = wire.exchange([bytes(bad), _status()], _is_status)
    report = bytes([ERROR, 0, Fault.DAMAGED])
    if got[:-1] == [report]:
        return []
    return [f"a damaged frame was answered by {[message.hex() for message in got]}"]


@dataclass(frozen=True)
class _Trial:
    """A request that must be refused: type, body; type and body of the answer.

    ``worthless``: the answer's body may have anything between its beginning and its last octet.
    """

    what: str
    type: int
    body: bytes
    kind: int
    answer: bytes
    worthless: bool = False

    def fits(self, message: bytes, tag: int) -> bool:
        """Whether ``message`` is the answer."""
        head = bytes([self.kind, tag])
        if self.worthless:
            return message.startswith(head + self.answer[:-1]) and message[-1:] == self.answer[-1:]
        return message == head + self.answer


def refusals(wire: Wire, config: SoftmaxConfig) -> list[str]:
    """Requests that the board must refuse, each with its reason. What was wrong, a line each."""
    trials = _trials(config)
    frames = [
        encode_frame(bytes([trial.type, tag]) + trial.body)
        for tag, trial in enumerate(trials, start=1)
    ]
    got = wire.exchange([*frames, _status()], _is_status)[:-1]
    if len(got) != len(trials):
        return [f"{len(trials)} requests to be refused had {len(got)} answers"]
    return [
        f"{trial.what} was answered by {message.hex()}"
        for tag, (trial, message) in enumerate(zip(trials, got, strict=True), start=1)
        if not trial.fits(message, tag)
    ]


def rejected(config: SoftmaxConfig) -> int:
    """How many of ``refusals`` are answered by ERROR."""
    return sum(trial.kind == ERROR for trial in _trials(config))


def _trials(config: SoftmaxConfig) -> list[_Trial]:
    # A row of one element, whose probability is known, stands before what is malformed.
    good = _header(1) + bytes(config.logit_bytes)
    one = exaq.softmax(np.zeros((1, 1), np.int8), config)[0, 0]
    cut = int(one).to_bytes(config.prob_bytes, "little") + bytes([RowsStatus.MALFORMED])

    def rows(what: str, body: bytes, *, worthless: bool = False) -> _Trial:
        return _Trial(what, Type.ROWS, good + body, Type.ROWS | ANSWER, cut, worthless)

    def error(what: str, type: int, body: bytes, fault: Fault) -> _Trial:
        return _Trial(what, type, body, ERROR, bytes([fault]))

    trials = [
        error("an unknown type", 0x55, b"body", Fault.UNKNOWN),
        error("an IDENTIFY with a body", Type.IDENTIFY, b"\0", Fault.MALFORMED),
        error("a STATUS with a body", Type.STATUS, b"\0", Fault.MALFORMED),
        _Trial("no row", Type.ROWS, b"", Type.ROWS | ANSWER, cut[-1:]),
        rows("half a header", _header(1)[:1]),
        rows("a context too high", _header(1, max(1, config.contexts)) + bytes(64)),
    ]
    if config.max_row > 1:
        row = _header(config.max_row) + bytes(config.logit_bytes)
        trials.append(rows("a row cut off", row, worthless=True))
    if config.max_row < _LONGEST:
        trials.append(rows("a row too long", _header(config.max_row + 1) + bytes(64)))
    if not config.masking:
        trials.append(rows("a mask", _header(1, MASKED) + bytes(1 + config.logit_bytes)))
    if config.contexts:
        answer = Type.LOAD_TABLES | ANSWER
        trials.append(_Trial("a lone word", Type.LOAD_TABLES, bytes(LOAD_WORD), answer, b"\1"))
    else:
        trials.append(error("tables", Type.LOAD_TABLES, bytes(LOAD_WORD), Fault.UNKNOWN))
    return trials


def _header(length: int, word: int = 0) -> bytes:
    return struct.pack("<HH", length - 1, word)


def flood(wire: Wire, config: SoftmaxConfig, identity: Identity) -> list[str]:
    """More requests at once than the receive buffer holds.

    Requests for the identity, whose answers are long, hold the board up while rows come, each in
    a message of its own. Some find no room: these are counted and reported, and go without an
    answer. All the others are answered, in their order, and right. What was wrong, a line each.
    """
    octets = identity.buffer * 3 // 2 + _AHEAD
    rows, want = _flood_rows(config, octets)
    packer = RowPacker(rows, config)
    count = len(rows.lengths)
    told = len(identity.to_octets())
    held_up = -(-(octets + _AHEAD) // told)
    alone = [RowRange(number, number + 1) for number in range(count)]
    requests = [bytes([Type.IDENTIFY, 1])] * held_up
    requests += [bytes([Type.ROWS, k + 2]) + packer.pack(row) for k, row in enumerate(alone)]
    got = wire.exchange(
        map(encode_frame, requests),
        lambda message: message[0] == Type.ROWS | ANSWER and message[1] >= 2 + _DRAINED,
    )
    got += wire.exchange([_status()], _is_status)

    faults = []
    answered = []
    for message in got:
        kind, tag, body = message[0], message[1], message[HEADER:]
        if kind != Type.ROWS | ANSWER:
            continue
        answered.append(tag - 2)
        row = alone[tag - 2]
        if len(body) != packer.answer_octets(row) or body[-1]:
            faults.append(f"row {tag - 2} of a flood was answered by {len(body)} octets")
        else:
            packer.unpack(row, body)
    if answered != sorted(set(answered)):
        faults.append("the answers to a flood are not in order")
    wrong = int(np.count_nonzero(packer.elements[answered] != want[answered]))
    if wrong:
        faults.append(f"{wrong} elements of a flood came back wrong")
    reports = [message for message in got if message[:HEADER] == bytes([ERROR, 0])]
    if {message[HEADER:] for message in reports} != {bytes([Fault.OVERFLOW])}:
        faults.append(f"a flood was reported by {[message.hex() for message in reports]}")
    place = HEADER + 4 * list(COUNTERS).index("overflows")
    (lost,) = struct.unpack_from("<I", got[-1], place)
    if len(answered) + lost != count or not lost:
        faults.append(f"of {count} rows of a flood {len(answered)} came back and {lost} were lost")
    return faults


def _flood_rows(config: SoftmaxConfig, octets: int) -> tuple[Rows, NDArray[Any]]:
    """Rows whose messages take ``octets`` of a buffer, and their probabilities."""
    random = np.random.default_rng(_SEED)
    most = min(config.max_row, max(1, 2 * octets // (_FLOOD * config.logit_bytes)))
    lengths: list[int] = []
    used = 0
    while used < octets and len(lengths) < _TAGS:
        lengths.append(int(random.integers(1, most, endpoint=True)))
        used += HEADER + row_octets(config, lengths[-1], masked=False) + OVERHEAD
    within = np.arange(most) < np.array(lengths)[:, None]
    low, high = config.logit_range
    logits = np.where(within, random.integers(low, high, within.shape, endpoint=True), 0)
    rows = Rows.of(logits, config.format, lengths=lengths).streamed(config.format)
    masking = config.replace(masking=True)
    contexts = 0 if config.contexts else None
    return rows, exaq.softmax(logits, masking, mask=within, contexts=contexts)


def _status() -> bytes:
    return encode_frame(bytes([Type.STATUS, _STATUS_TAG]))


def _is_status(message: bytes) -> bool:
    return message[:HEADER] == bytes([Type.STATUS | ANSWER, _STATUS_TAG])
