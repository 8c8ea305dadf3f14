"""What was built, simulated and talked to as to a board, against the golden model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

from exaq_fpga.flow.bitstreams.prepared import TOP, Prepared
from exaq_fpga.flow.netlists.netlist import Netlist
from exaq_fpga.prove.conversation import Findings, converse
from exaq_fpga.prove.proof_rows import proof_rows
from exaq_fpga.prove.readback.bitstream_verilog import BitstreamError, bitstream_verilog
from exaq_fpga.prove.readback.clocks import bitstream_clock, netlist_clock
from exaq_fpga.prove.readback.netlist_verilog import netlist_verilog
from exaq_fpga.virtual.design import compile_as_board
from exaq_fpga.virtual.virtual_board import VirtualBoard

#: Cycles that the rows of a proof take at least, if the line is never idle.
CYCLES = 30_000_000
# Fewer cycles are simulated in less time than the compiler's better code would cost.
_BRIEF = 5_000_000


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a proof found.

    Members
    -------
    how
        ``bitstream``: the design was read back out of the file that goes into the device;
        ``netlist``: it is what synthesis made, before place and route.
    simulator
        Name and version.
    rows, elements, mismatches
        Rows that went through it, their elements, and elements that came back wrong.
    faults
        What else was wrong, a line each.
    cycles, seconds
        Simulated cycles of the board's clock, and how long it all took.
    """

    how: str
    simulator: str
    rows: int
    elements: int
    mismatches: int
    faults: tuple[str, ...]
    cycles: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether nothing was wrong."""
        return not self.mismatches and not self.faults


def prove(
    prepared: Prepared,
    folder: Path,
    *,
    progress: Callable[[str], None] | None = None,
    cycles: int = CYCLES,
) -> Proof:
    """Simulate what ``exaq_fpga.flow.bitstreams.build.build`` left in ``folder``, and compare it.

    iCE40: the bitstream itself. ECP5 and Gowin, where the open tools have no whole way back
    from a bitstream: the netlist after synthesis. Its link is that of a virtual board,
    and the host's own program streams rows through it (see ``exaq_fpga.prove.conversation``).

    Parameters
    ----------
    progress
        Is told what starts.
    cycles
        How long the rows take, about; but there are some that are never left out.

    Raises
    ------
    ToolError
        A tool is missing or fails, or there is no model of a cell.
    """
    begin = time.monotonic()
    tell = progress or (lambda text: None)
    faults: list[str] = []
    how = "bitstream" if prepared.spec.family == "ice40" else "netlist"
    tell(f"{how} to Verilog")
    findings = Findings()
    simulated = 0
    try:
        verilog, clock = _read_back(prepared, folder)
    except BitstreamError as error:
        faults.append(str(error))
    else:
        if round(clock) != prepared.clock:
            faults.append(f"the PLL makes {float(clock):.0f} Hz, not {prepared.clock} Hz")
        tell("compiling it with Verilator")
        program = compile_as_board([verilog], prepared, brief=cycles < _BRIEF)
        config = prepared.softmax
        # Probabilities come while logits go.
        octets = max(config.prob_bytes, config.logit_bytes)
        rows = proof_rows(config, cycles // (prepared.link.octet_cycles(prepared.clock) * octets))
        tell(f"{len(rows.lengths)} rows of {rows.elements} elements through it")
        with VirtualBoard(program) as board:
            findings = converse(board.port, prepared, rows)
        simulated = board.stop().cycles
    return Proof(
        how=how,
        simulator=f"Verilator {version('verilator')}",
        rows=findings.rows,
        elements=findings.elements,
        mismatches=findings.mismatches,
        faults=(*faults, *findings.faults),
        cycles=simulated,
        seconds=round(time.monotonic() - begin, 1),
    )


def _read_back(prepared: Prepared, folder: Path) -> tuple[str, Fraction]:
    """Verilog of what was built, and the frequency of its clock."""
    reference = prepared.spec.reference
    if prepared.spec.family == "ice40":
        verilog = bitstream_verilog(
            folder / prepared.bitstream,
            folder / f"{TOP}.pcf",
            top=TOP,
            clock=prepared.ports["clock"],
        )
        return verilog, bitstream_clock(verilog, reference)
    verilog = netlist_verilog(folder, prepared.netlist, top=TOP, family=prepared.spec.family)
    return verilog, netlist_clock(Netlist.read(folder / prepared.netlist, TOP), reference)
