"""What a proof asks a board, and what the answers must be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

import exaq
from exaq import SoftmaxConfig
from exaq_fpga.board import Board
from exaq_fpga.link.errors import BoardError, LinkError
from exaq_fpga.link.frames import FrameDecoder, encode_frame
from exaq_fpga.link.port import Port
from exaq_fpga.link.protocol import ANSWER, ERROR, Fault, Type
from exaq_fpga.prepared import Prepared
from exaq_fpga.prove.rows import ProofRows

# Seconds of silence that are taken for one: a simulated board is slow.
_PATIENCE = 60.0
_STATUS_TAG = 7
# Rows that go once more through the board when something has gone wrong.
_FEW = 8


@dataclass
class Findings:
    """What was found; see ``exaq_fpga.prove.proof.Proof``."""

    rows: int = 0
    elements: int = 0
    mismatches: int = 0
    faults: list[str] = field(default_factory=list)


def converse(port: str, prepared: Prepared, rows: ProofRows) -> Findings:
    """Talk to the board at ``port``, which has just been switched on.

    Its identity is compared with that it was built to have; tables are loaded where it takes
    some; ``rows`` go through it and come back as the golden model has them; its counters say what
    happened; a damaged frame is reported and does no harm to those after it.
    """
    findings = Findings()
    try:
        _stream(port, prepared, rows, findings)
        _damage(port, findings)
        _stream_again(port, prepared, rows.first(_FEW), findings)
    except BoardError as error:
        findings.faults.append(str(error))
    return findings


def _open(port: str, prepared: Prepared) -> Board:
    return Board(port, baud=prepared.baud, timeout=_PATIENCE, retries=1)


def _stream(port: str, prepared: Prepared, rows: ProofRows, findings: Findings) -> None:
    with _open(port, prepared) as board:
        if board.identity != prepared.identity:
            findings.faults.append("the board's identity is not that it was built to have")
            return
        if prepared.config.contexts:
            for context in range(min(2, prepared.config.contexts)):
                board.load_tables(context, _other_tables(prepared.config, context))
        _compare(board, rows, findings)
        counted = board.status()
        beats = int((-(-rows.lengths // prepared.config.lanes)).sum())
        expected = {
            "rows": len(rows.lengths),
            "beats": beats,
            "loads": min(2, prepared.config.contexts),
            "refused": 0,
            "damaged": 0,
            "overflows": 0,
            "line_errors": 0,
        }
        _check_counters(counted, expected, findings)
        if board.link.resent or board.link.dropped or board.link.reports:
            findings.faults.append(f"an undisturbed link was not smooth: {board.link}")


def _compare(board: Board, rows: ProofRows, findings: Findings) -> None:
    mask = rows.mask if board.config.masking else None
    got = board.softmax(rows.logits, mask=mask, lengths=rows.lengths, contexts=rows.contexts)
    # Elements beyond a row's length take no part, as masked ones do not; so one call will do.
    # A unit without masking has the same rows: the model is asked of the same numbers.
    config = board.config if board.config.masking else board.config.replace(masking=True)
    want = exaq.softmax(rows.logits, config, mask=rows.mask, contexts=rows.contexts)
    findings.rows += len(rows.lengths)
    findings.elements += rows.elements
    findings.mismatches += int(np.count_nonzero(got != want))


def _other_tables(config: SoftmaxConfig, context: int) -> exaq.Tables:
    """Tables that no context holds before: the next context's, each exponential one less."""
    tables = config.context_tables[(context + 1) % config.contexts]
    lower = (*(max(0, e - 1) for e in tables.exp_rom[:-1]), tables.exp_rom[-1])
    return exaq.Tables(thresholds=tables.thresholds, exp_rom=lower)


def _check_counters(counted: dict[str, int], expected: dict[str, int], findings: Findings) -> None:
    for name, value in expected.items():
        if counted[name] != value:
            findings.faults.append(f"the board counts {counted[name]} {name}, not {value}")


def _damage(port: str, findings: Findings) -> None:
    """A frame with a wrong bit, and at once a good one behind it."""
    good = encode_frame(bytes([Type.STATUS, _STATUS_TAG]))
    bad = bytearray(encode_frame(bytes([Type.STATUS, _STATUS_TAG + 1])))
    bad[1] ^= 0x10
    line = Port(port, 1_000_000)
    try:
        pending = bytearray(bytes(bad) + good)
        decoder = FrameDecoder()
        messages: list[bytes] = []
        while not messages or messages[-1][0] != Type.STATUS | ANSWER:
            waiting = not pending
            octets = line.exchange(pending, _PATIENCE)
            if waiting and not octets:
                raise LinkError("after a damaged frame the board does not answer")
            messages += decoder.feed(octets)
    finally:
        line.close()
    report = bytes([ERROR, 0, Fault.DAMAGED])
    if messages[:-1] != [report] or messages[-1][1] != _STATUS_TAG:
        findings.faults.append(
            f"a damaged frame was answered by {[message.hex() for message in messages]}"
        )


def _stream_again(port: str, prepared: Prepared, rows: ProofRows, findings: Findings) -> None:
    """The next program finds the board in order."""
    with _open(port, prepared) as board:
        if rows.contexts is not None:
            board.load_tables(0, prepared.config.context_tables[0])
            rows = replace(rows, contexts=np.zeros_like(rows.contexts))
        _compare(board, rows, findings)
        _check_counters(board.status(), {"damaged": 1, "refused": 0}, findings)
