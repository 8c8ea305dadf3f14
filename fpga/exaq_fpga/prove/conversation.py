"""What a proof asks a board, and what the answers must be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

import exaq
from exaq import SoftmaxConfig
from exaq_fpga.flow.bitstreams.prepared import Prepared
from exaq_fpga.link.board import Board
from exaq_fpga.link.errors import BoardError
from exaq_fpga.prove.proof_rows import ProofRows
from exaq_fpga.prove.trials import damage, flood, refusals, rejected
from exaq_fpga.prove.wire import Wire

# Seconds of silence that are taken for one: a simulated board is slow.
_PATIENCE = 60.0
# Receive buffers full of octets that a board may answer to one full of requests.
_ANSWERS = 10
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
    happened. Then it is treated badly (see ``exaq_fpga.prove.trials``), and must be in order for
    the next host.
    """
    findings = Findings()
    try:
        config = _stream(port, prepared, rows, findings)
        most = _ANSWERS * (prepared.identity.buffer + 1024)
        with Wire(prepared.link.open(port), patience=_PATIENCE, most=most) as wire:
            findings.faults += damage(wire)
            findings.faults += refusals(wire, config)
            findings.faults += flood(wire, config, prepared.identity)
        _stream_again(port, prepared, rows.first(_FEW), findings)
    except BoardError as error:
        findings.faults.append(str(error))
    return findings


def _open(port: str, prepared: Prepared) -> Board:
    return Board(prepared.link.open(port), timeout=_PATIENCE, retries=1)


def _stream(port: str, prepared: Prepared, rows: ProofRows, findings: Findings) -> SoftmaxConfig:
    """The configuration with the tables that the board has in the end."""
    with _open(port, prepared) as board:
        if board.identity != prepared.identity:
            findings.faults.append("the board's identity is not that it was built to have")
            return board.config
        if prepared.softmax.contexts:
            for context in range(min(2, prepared.softmax.contexts)):
                board.load_tables(context, _other_tables(prepared.softmax, context))
        _compare(board, rows, findings)
        counted = board.status()
        beats = int((-(-rows.lengths // prepared.softmax.lanes)).sum())
        expected = {
            "rows": len(rows.lengths),
            "beats": beats,
            "loads": min(2, prepared.softmax.contexts),
            "rejected": 0,
            "damaged": 0,
            "overflows": 0,
            "line_errors": 0,
        }
        _check_counters(counted, expected, findings)
        if board.link.resent or board.link.dropped or board.link.reports:
            findings.faults.append(f"an undisturbed link was not smooth: {board.link}")
        return board.config


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


def _stream_again(port: str, prepared: Prepared, rows: ProofRows, findings: Findings) -> None:
    """The next program finds the board in order."""
    with _open(port, prepared) as board:
        if rows.contexts is not None:
            board.load_tables(0, prepared.softmax.context_tables[0])
            rows = replace(rows, contexts=np.zeros_like(rows.contexts))
        _compare(board, rows, findings)
        expected = {"damaged": 1, "rejected": rejected(prepared.softmax), "line_errors": 0}
        _check_counters(board.status(), expected, findings)
