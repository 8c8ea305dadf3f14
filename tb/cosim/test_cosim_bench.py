"""The bench that ``exaq generate --core`` writes: units pass it, and faults do not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from exaq import SoftmaxConfig
from exaq_hdl import Emitted, emit_verilog
from exaq_hdl.emit.companions.bench_rows import beats_in, beats_out, bench_rows
from exaq_hdl.emit.companions.companion import Unit
from exaq_hdl.emit.companions.verilog_bench import verilog_bench
from exaq_hdl.emit.target import FPGA, Target

NAME = "exaq_softmax"
HEADS = tuple(SoftmaxConfig(clip=-clip).tables for clip in (2.5, 4.0, 7.0))

UNITS = {
    "defaults": SoftmaxConfig(),
    "one lane": SoftmaxConfig(lanes=1, max_row=1, group=1, masking=False),
    "odd widths": SoftmaxConfig(
        logit_width=13, logit_scale=2**-6, prob_bits=21, lanes=3, max_row=24, group=1
    ),
    "contexts": SoftmaxConfig(
        contexts=3, context_tables=HEADS, window=True, row_results="table", max_row=32
    ),
    "codes of contexts": SoftmaxConfig(
        contexts=2, context_tables=HEADS[:2], output="codes", bits=2, lanes=3, group=1, max_row=33
    ),
    "mask value": SoftmaxConfig(mask_value="lowest", masking=False, window=True, max_row=64),
    "floats": SoftmaxConfig(logit_format="bf16", bits=3, sink=1.5, max_row=64),
    "codes of floats": SoftmaxConfig(logit_format="fp16", output="codes", max_row=64),
    "references": SoftmaxConfig.preset("baps-x4", window=True, max_row=64),
    **{
        kernel: SoftmaxConfig.preset(f"{kernel}-x4", max_row=32)
        for kernel in ("multiply", "softermax", "shift", "lut")
    },
    "eight-bit floats": SoftmaxConfig.preset("baps-x4-float", max_row=32),
}


def bench(emitted: Emitted, config: SoftmaxConfig) -> str:
    return verilog_bench(Unit(config=config, emitted=emitted, stem="unit"))


def run(folder: Path, *texts: str) -> tuple[int, str]:
    """Exit code and output of the bench among ``texts`` in Icarus, whose warnings are failures."""
    for number, text in enumerate(texts):
        (folder / f"{number}.v").write_text(text, encoding="utf-8")
    files = [f"{number}.v" for number in range(len(texts))]
    compiled = subprocess.run(
        ["iverilog", "-g2001", "-Wall", "-Wno-sensitivity-entire-array", "-o", "unit.vvp", *files],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (compiled.returncode, compiled.stderr) == (0, "")
    done = subprocess.run(
        ["vvp", "-N", "unit.vvp"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="Icarus is not installed")


@pytest.mark.simulator
@needs_icarus
@pytest.mark.parametrize("case", UNITS)
def test_units_pass(case: str, tmp_path: Path) -> None:
    config = UNITS[case]
    emitted = emit_verilog(config, name=NAME)
    assert run(tmp_path, bench(emitted, config), emitted.verilog) == (
        0,
        f"PASSED {len(bench_rows(config))} rows\n",
    )


@pytest.mark.simulator
@needs_icarus
def test_a_unit_of_any_name_passes(tmp_path: Path) -> None:
    """Of names that the bench has itself, too."""
    config = SoftmaxConfig(max_row=32)
    emitted = emit_verilog(config, name="BENCH_NAME")
    code, told = run(tmp_path, bench(emitted, config), emitted.verilog)
    assert (code, told.split()[0]) == (0, "PASSED")


@pytest.mark.simulator
@needs_icarus
def test_a_unit_for_a_chip_passes(tmp_path: Path) -> None:
    config = SoftmaxConfig(max_row=32)
    target = Target(kind="asic", ram="single-port", reset="async")
    emitted = emit_verilog(config, name=NAME, target=target)
    assert target != FPGA
    code, told = run(tmp_path, bench(emitted, config), emitted.verilog)
    assert (code, told.split()[0]) == (0, "PASSED")


FAULTY = SoftmaxConfig(
    contexts=3, context_tables=HEADS, window=True, row_results="sum", lanes=2, max_row=16
)
# What a port of the unit has instead, by how the fault is called; ``good_`` is the right value.
FAULTS: dict[str, dict[str, str]] = {
    "a wrong probability": {"m_axis_tdata": "good_m_axis_tdata ^ (beats == 9)"},
    "a missing end": {"m_axis_tlast": "good_m_axis_tlast & (beats < 12)"},
    "lanes that are not there": {"m_axis_tkeep": "~32'b0"},
    "no error": {"m_axis_tuser": "1'b0"},
    "another context": {"m_axis_tid": "2'd0"},
    "a wrong sum": {"m_row_tdata": "good_m_row_tdata ^ (good_m_row_tdata[8] << 9)"},
    "no error of the results": {"m_row_tuser": "1'b0"},
    "masks are not looked at": {"s_axis_tuser": "s_axis_tuser & ~12'd3"},
    "windows are not looked at": {"s_axis_tuser": "(s_axis_tuser & 12'd3) | 12'hf80"},
    "contexts are not looked at": {"s_axis_tid": "2'd0", "m_axis_tid": "good_m_axis_tid"},
    "tails are not looked at": {"s_axis_tkeep": "2'b11"},
    "a hang": {"m_axis_tvalid": "good_m_axis_tvalid & (beats < 5)"},
    "a hang of the input": {
        "s_axis_tready": "good_s_axis_tready & (taken < 9)",
        "s_axis_tvalid": "s_axis_tvalid & (taken < 9)",
    },
    "a payload that changes while it waits": {"m_axis_tdata": "good_m_axis_tdata ^ waited"},
    "an offer that is taken back": {"m_axis_tvalid": "good_m_axis_tvalid & !waited"},
    "a source that may not pause": {"m_axis_tdata": "good_m_axis_tdata ^ paused"},
    "a sink that may not pause": {"m_axis_tdata": "good_m_axis_tdata ^ full"},
    "a beat too many": {"m_axis_tvalid": "good_m_axis_tvalid | (quiet > 30)"},
}


def faulty(emitted: Emitted, fault: Mapping[str, str]) -> str:
    """The unit with other values at some ports."""
    ports = emitted.manifest["ports"]
    inner = {
        port["name"]: fault[port["name"]]
        if port["name"] in fault and port["direction"] == "input"
        else f"good_{port['name']}"
        if port["direction"] == "output"
        else port["name"]
        for port in ports
    }
    lines = [f"module {NAME} (", ",\n".join(f"  {port['name']}" for port in ports), ");"]
    for port in ports:
        name, width = port["name"], f"[{port['width'] - 1}:0]"
        lines.append(f"  {port['direction']} {width} {name};")
        if port["direction"] == "output":
            lines.append(f"  wire {width} good_{name};")
            lines.append(f"  assign {name} = {fault.get(name, f'good_{name}')};")
    connected = ", ".join(f".{name}({value})" for name, value in inner.items())
    lines += [
        "  reg [15:0] beats = 0, taken = 0, quiet = 0;",
        "  reg waited = 0, paused = 0, open = 0, full = 0;",
        "  always @(posedge aclk) begin",
        "    beats <= beats + (m_axis_tvalid & m_axis_tready);",
        "    taken <= taken + (s_axis_tvalid & s_axis_tready);",
        "    full <= full | (taken > 0 & s_axis_tvalid & !good_s_axis_tready);",
        "    waited <= good_m_axis_tvalid & !m_axis_tready;",
        "    quiet <= (s_axis_tvalid | good_m_axis_tvalid | !aresetn) ? 0 : quiet + 1;",
        "    if (s_axis_tvalid & s_axis_tready) open <= !s_axis_tlast;",
        "    paused <= paused | (open & !s_axis_tvalid & s_axis_tready);",
        "  end",
        f"  broken_unit unit ({connected});",
        "endmodule",
    ]
    whole = emitted.verilog.replace(f"module {NAME}(", "module broken_unit(")
    assert whole != emitted.verilog
    return "\n".join(lines) + "\n" + whole


@pytest.fixture(scope="module")
def emitted() -> Emitted:
    return emit_verilog(FAULTY, name=NAME)


@pytest.mark.simulator
@needs_icarus
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_noticed(fault: str, emitted: Emitted, tmp_path: Path) -> None:
    text = bench(emitted, FAULTY)
    code, told = run(tmp_path, text, faulty(emitted, FAULTS[fault]))
    assert told.startswith("FAILED")
    assert "PASSED" not in told
    assert code == 1


@pytest.mark.simulator
@needs_icarus
def test_the_unit_in_the_same_dress_is_no_fault(emitted: Emitted, tmp_path: Path) -> None:
    code, told = run(tmp_path, bench(emitted, FAULTY), faulty(emitted, {}))
    assert (code, told.split()[0]) == (0, "PASSED")


def test_a_row_by_hand() -> None:
    """The row that docs/integration.md shows: 10 20 30 40 35 40, the fourth element masked."""
    config = SoftmaxConfig()
    row = bench_rows(config)[0].__class__(
        logits=np.array([10, 20, 30, 40, 35, 40]),
        live=np.array([True, True, True, False, True, True]),
        window=(0, 6),
        context=0,
    )
    assert [tuple(beat.values()) for beat in beats_in(row, config)] == [
        (0x281E140A, 0xF, 0x8, 0, 0),
        (0x2823, 0x3, 0, 0, 1),
    ]
    first = sum(value << 16 * lane for lane, value in enumerate((3484, 3484, 19523, 0)))
    assert [tuple(beat.values()) for beat in beats_out(row, config)] == [
        (first, 0xFF, 0, 0, 0),
        (19523 << 16 | 19523, 0x0F, 0, 0, 1),
    ]


@pytest.mark.parametrize("case", UNITS)
def test_rows_are_of_every_kind(case: str) -> None:
    config = UNITS[case]
    rows = bench_rows(config)
    lengths = [len(row.logits) for row in rows]
    assert {1, config.lanes} <= set(lengths)
    assert max(lengths) == config.max_row + config.lanes
    assert (config.max_row in lengths) == (config.beats <= 64)
    assert lengths[-1] <= config.max_row
    if config.lanes > 1 and config.max_row > config.lanes:
        assert any(length % config.lanes for length in lengths)
    assert {row.context for row in rows} == set(range(max(config.contexts, 1)))
    assert config.masking == any(not row.live.all() for row in rows)
    if config.masking:
        assert any(not row.live.any() for row in rows)
        assert any(row.live.any() and not row.live.all() for row in rows)
    if config.window:
        assert any(0 < row.window[0] < row.window[1] < len(row.logits) for row in rows)
    if config.float_format is not None:
        assert any(np.isposinf(row.logits).any() for row in rows)


def test_the_last_of_many_contexts_has_a_row() -> None:
    config = SoftmaxConfig(contexts=100, max_row=64)
    assert {0, 99} <= {row.context for row in bench_rows(config)}
