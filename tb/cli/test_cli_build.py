"""``exaq build``: what it refuses before any tool runs, and what it tells of a build."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from run_exaq import refusal

from exaq.attention import AttentionConfig
from exaq_cli.commands.board.build import command
from exaq_cli.errors import UserError
from exaq_cosim import ToolError
from exaq_fpga import prove
from exaq_fpga.boards import BOARDS
from exaq_fpga.flow.bitstreams import build as builder
from exaq_fpga.flow.bitstreams.build import BuildError, Built
from exaq_fpga.flow.bitstreams.prepared import Prepared
from exaq_fpga.prove import Proof
from exaq_hdl.emit.attention_verilog import emit_attention

REFUSALS = {
    "icebreaker --lanes 6": "max_row must be a multiple of lanes (6), not 1024; 1020 or 1026 "
    "would be",
    "icebreaker --preset 5bit": None,
    "icebreaker --clock 13": "no PLL setting makes 13 MHz out of 12 MHz; nearest: 16.125 MHz; "
    "legal: 12 MHz itself and 16.125 to 270 MHz",
    "icebreaker --clock 0": "Invalid value for '--clock': must be above 0, not 0",
    "icebreaker --clock nan": "Invalid value for '--clock': must be above 0, not nan",
    "icebreaker --clock 12 --baud 4000000": "4000000 baud is too fast for a clock of 12 MHz: a bit "
    "takes at least 4 cycles; the fastest is 3000000 baud",
    "icebreaker --baud 0": "Invalid value for '--baud': 0 is not in the range x>=1.",
    "icebreaker --seed -1": "Invalid value for '--seed': -1 is not in the range x>=0.",
    "icebreaker --preset baps-x4": "a board's link carries no references of beats: with the "
    "kernel baps output must be probabilities, not codes",
    "ulx3s-85f --unit attention --prove": "--prove is for the softmax unit; exaq board --virtual "
    "runs the design of an attention head, and exaq stream checks what comes of it",
    "ulx3s-85f --causal": "--causal is not for the unit softmax",
    "ulx3s-85f --unit attention --window": "--window is not for the unit attention",
    "icebreaker --udp 10.0.0.2": "icebreaker has no Ethernet for --udp; these boards have: "
    "ecpix5-85, colorlight-5a75b",
    "ecpix5-85 --udp 10.0.0.2 --baud 9600": "--baud is for the serial port, not for --udp",
    "ecpix5-85 --udp 10.0.0.2 --clock 75": "the link by UDP needs a clock of 100 MHz, of which it "
    "makes that of the Ethernet PHY, not 75 MHz",
    "ecpix5-85 --udp 10.0.0.2 --unit attention": "the link by UDP needs a clock of 100 MHz, of "
    "which it makes that of the Ethernet PHY, not 50 MHz",
    "ecpix5-85 --udp board": "Invalid value for '--udp': board is no IPv4 address",
    **{
        f"ecpix5-85 --udp {address}": f"Invalid value for '--udp': {address} is not the address of "
        "one machine of a network"
        for address in ("127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0")
    },
    "icestorm": "Invalid value for 'BOARD': 'icestorm' is not one of "
    f"{', '.join(map(repr, BOARDS))}.",
    "icebreaker -o file": "Invalid value for '-o' / '--out': Directory 'file' is a file.",
    "": "Missing argument 'BOARD'. Choose from: " + ", ".join(BOARDS),
}


@pytest.mark.parametrize("line", REFUSALS)
def test_refusals(line: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refusal("build", *line.split(), folder=tmp_path)
    assert message == REFUSALS[line] or REFUSALS[line] is None
    assert "5bit" not in line or message.startswith("unknown preset '5bit'; there are ")


class Bench:
    """The command in this process, with builds and proofs that answer at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(builder, "build", self._build)
        monkeypatch.setattr(prove, "prove", self._prove)
        self.prepared: Prepared | None = None
        self.folder: Path | None = None
        self.error: Exception | None = None
        self.proof: Proof | ToolError | None = None

    def run(self, line: str) -> Result:
        return CliRunner().invoke(command, line.split())

    def _build(self, prepared: Prepared, folder: Path, *, step: Any) -> Built:
        self.prepared, self.folder = prepared, folder
        if self.error:
            raise self.error
        step("synthesis (yosys 1)")
        folder.mkdir(parents=True, exist_ok=True)
        report = {
            "board": prepared.spec.name,
            "mhz": 41.5,
            "utilization": {"ICESTORM_LC": [70, 100], "ICESTORM_RAM": [3, 30]},
            "proof": None,
        }
        return Built(bitstream=folder / f"exaq_{prepared.spec.name}.bin", report=report)

    def _prove(self, prepared: Prepared, folder: Path, *, progress: Any) -> Proof:
        assert (prepared, folder) == (self.prepared, self.folder)
        progress("rows through it")
        if not isinstance(self.proof, Proof):
            assert self.proof is not None
            raise self.proof
        return self.proof


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return Bench(monkeypatch, tmp_path)


def make_proof(mismatches: int = 0, faults: tuple[str, ...] = ()) -> Proof:
    return Proof(
        how="bitstream",
        simulator="Verilator 5",
        rows=20,
        elements=500,
        mismatches=mismatches,
        faults=faults,
        cycles=1000,
        seconds=1.5,
    )


def summary(result: Result) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line[0] != " ")


def test_board_decides_what_no_option_does(bench: Bench) -> None:
    result = bench.run("icebreaker")
    assert result.exit_code == 0, result.output
    assert bench.prepared is not None
    assert bench.prepared.config == BOARDS["icebreaker"].config
    assert (bench.prepared.clock, bench.prepared.link.baud) == (24_000_000, 1_000_000)
    assert bench.folder == Path("build/icebreaker")
    assert result.stdout.splitlines() == [
        "Bitstream      build/icebreaker/exaq_icebreaker.bin",
        "Board          iCEBreaker, iCE40 UP5K: 70 of 100 ICESTORM_LC, 3 of 30 block RAMs",
        "Configuration  2 bits, clip -5.17; 4 lanes; rows up to 1024 elements",
        "Clock          24 MHz; timing closes for 41.5 MHz",
        "Serial port    1000000 baud; USB, the second port of the FT2232H",
        "Verified       built, timing closed; not simulated",
        "Report         build/icebreaker/report.json",
        "Next           exaq program icebreaker",
    ]


def test_a_link_by_udp(bench: Bench) -> None:
    result = bench.run("colorlight-5a75b --udp 10.0.0.2")
    assert result.exit_code == 0, result.output
    assert bench.prepared is not None
    assert bench.prepared.link.port == "udp:10.0.0.2"
    assert (
        "By UDP         udp:10.0.0.2; Ethernet socket of the first PHY (B50612D), 100 Mbit/s"
        in result.stdout.splitlines()
    )


def test_an_attention_head(bench: Bench) -> None:
    words = "--head-size 16 --max-row 16 --lanes 2 --causal --multipliers dsp --outputs-per-beat 2"
    result = bench.run(f"ulx3s-85f --unit attention {words}")
    assert result.exit_code == 0, result.output
    config = AttentionConfig(head_size=16, max_row=16, lanes=2, causal=True)
    assert bench.prepared is not None
    assert bench.prepared.config == bench.prepared.identity.config == config
    assert bench.prepared.clock == BOARDS["ulx3s-85f"].clock // 2
    emitted = emit_attention(config, multipliers="dsp", outputs_per_beat=2, top="core")
    assert bench.prepared.files["exaq_attention.v"] == emitted.verilog
    assert "cell \\exaq_attention " in bench.prepared.files["top.il"]
    assert summary(result)["Configuration"].strip() == (
        "causal attention head of 16 elements, dint4 keys; 2 bits, clip -5.17; 2 lanes; up to 16 "
        "keys"
    )
    with pytest.raises(ValueError, match="an attention head, not a softmax unit"):
        _ = bench.prepared.softmax
    bench.run(f"ulx3s-85f --unit attention {words} --clock 25")
    assert bench.prepared.clock == 25_000_000


def test_options_change_the_boards_configuration(bench: Bench) -> None:
    bench.run("ulx3s-85f --max-row 256 --clock 50 --baud 500000 --seed 7 -o there")
    assert bench.prepared is not None
    assert bench.prepared.config == BOARDS["ulx3s-85f"].config.replace(max_row=256)
    assert bench.prepared.config.lanes == 16
    rates = (bench.prepared.clock, bench.prepared.link.baud, bench.prepared.seed)
    assert rates == (50_000_000, 500_000, 7)
    assert bench.folder == Path("there")


def test_a_preset_stands_in_place_of_the_boards(bench: Bench) -> None:
    result = bench.run("ulx3s-85f --preset 3bit-x4 -o there")
    assert bench.prepared is not None
    assert (bench.prepared.softmax.bits, bench.prepared.config.lanes) == (3, 4)
    assert summary(result)["Next"] == "exaq program ulx3s-85f -o there"


def test_proof_is_told_and_kept(bench: Bench) -> None:
    bench.proof = make_proof()
    result = bench.run("icebreaker --prove")
    assert result.exit_code == 0, result.output
    assert summary(result)["Verified"] == "bitstream simulated, 20 rows equal to the model"
    report = json.loads(Path("build/icebreaker/report.json").read_text())
    assert (report["proof"]["rows"], report["proof"]["mismatches"]) == (20, 0)


@pytest.mark.parametrize("wrong", [{"mismatches": 3}, {"faults": ("the PLL makes 3 Hz",)}])
def test_a_proof_that_does_not_hold_is_a_failure(bench: Bench, wrong: dict[str, Any]) -> None:
    bench.proof = make_proof(**wrong)
    result = bench.run("icebreaker --prove")
    assert result.exit_code == 1
    told = f"{wrong.get('mismatches', 0)} elements wrong, {len(wrong.get('faults', ()))} other"
    assert told in summary(result)["Verified"]
    for fault in wrong.get("faults", ()):
        assert f"exaq: fault: {fault}\n" in result.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BuildError("too slow", ("1 ns: a", "2 ns: b")), "too slow"),
        (ToolError("yosys failed"), "yosys failed; the tools' logs are in build/icebreaker"),
    ],
)
def test_a_failed_build_is_the_users_to_mend(bench: Bench, error: Exception, message: str) -> None:
    bench.error = error
    result = bench.run("icebreaker")
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == message
    if isinstance(error, BuildError):
        assert "Critical path:\n  1 ns: a\n  2 ns: b\n" in result.stderr


def test_a_proof_that_cannot_be_made_is_the_users_to_mend(bench: Bench) -> None:
    bench.proof = ToolError("icebox_vlog is not installed")
    result = bench.run("icebreaker --prove")
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == (
        "icebox_vlog is not installed; the bitstream is built, but not proven"
    )
