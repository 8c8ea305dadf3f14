"""The Verilog for a chip as text, and what independent tools think of it."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_unit_emit import VERILATORS, verilator, yosys

from exaq import PRESETS, SoftmaxConfig
from exaq_hdl import Emitted, emit_verilog
from exaq_hdl.emit.target import FPGA, Target
from exaq_hdl.parts.asic_memory import FLOP_BITS

CONFIGS = {
    preset: SoftmaxConfig.preset(preset)
    for preset in ("2bit-x4", "2bit-x16", "4bit-x4", "baps-x4", "multiply-x4", "lut-x4", "shift-x4")
    if preset in PRESETS
} | {
    "3 contexts": SoftmaxConfig(bits=3, lanes=2, max_row=64, contexts=3),
    "bf16": SoftmaxConfig(max_row=64, contexts=1, logit_format="bf16"),
    "codes": SoftmaxConfig(max_row=256, output="codes"),
}
TARGETS = {
    "two ports": Target(kind="asic"),
    "one port": Target(kind="asic", ram="single-port", reset="async"),
    "slow": Target(kind="asic", ram_latency=2),
    "slow, one port": Target(kind="asic", ram="single-port", ram_latency=2, reset="async"),
}
EVERY = pytest.mark.parametrize(
    ("name", "target", "top"),
    [
        (name, target, ("axi", "core")[(k + j) % 2])
        for k, name in enumerate(CONFIGS)
        for j, target in enumerate(TARGETS)
    ],
)


@functools.cache
def emitted(name: str, target: str, top: str = "axi") -> Emitted:
    return emit_verilog(CONFIGS[name], target=TARGETS[target], top=top)


def modules(text: str) -> dict[str, str]:
    """The bodies of all modules."""
    return dict(re.findall(r"(?ms)^module (\w+) ?\(.*?\);(.*?)^endmodule", text))


@EVERY
def test_nothing_has_an_initial_value_or_an_attribute_of_an_fpga(
    name: str, target: str, top: str
) -> None:
    text = emitted(name, target, top).verilog
    code = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)
    assert "initial" not in code
    assert not re.search(r"ram_style|rom_style|no_rw_check|\bkeep\b", code)
    events = set(re.findall(r"\balways\s*@\s*\(([^)]*)\)", code))
    clocks = {event for event in events if not re.search(r"\bor\b|,", event)}
    assert clocks <= {"posedge clk", "posedge aclk"}
    # Flops with a reset have it with the clock, or beside it.
    assert bool(events - clocks) == (TARGETS[target].reset == "async")


@EVERY
def test_the_manifest_lists_each_array_with_what_it_holds(name: str, target: str, top: str) -> None:
    one = emitted(name, target, top)
    assert json.loads(json.dumps(one.manifest)) == one.manifest
    assert one.manifest["target"] == TARGETS[target].to_dict()
    bodies = modules(one.verilog)
    used: list[str] = []

    def walk(module: str, path: str) -> None:
        for inner, instance in re.findall(
            r"^  (exaq_softmax__\w+)  ?(\w+) \(", bodies[module], re.M
        ):
            if re.search(r"__(array|flops)_", inner):
                used.append(f"{path.rstrip('.')} {inner}")
            else:
                walk(inner, f"{path}{instance}.")

    walk("exaq_softmax", "")
    listed = [entry for entry in one.manifest["memories"] if "array" in entry]
    assert sorted(f"{entry['instance']} {entry['array']}" for entry in listed) == sorted(used)
    for entry in one.manifest["memories"]:
        assert entry["holds"]
        assert entry["bits"] == entry["width"] * entry["depth"]
        if "array" not in entry:
            continue
        assert f"_{entry['depth']}x{entry['width']}" in entry["array"]
        body = bodies[entry["array"]]
        assert f"reg [{entry['width'] - 1}:0] words [0:{entry['depth'] - 1}];" in body
        small = entry["bits"] <= FLOP_BITS and not entry["shared_port"]
        assert (entry["place"] == "logic") == small == ("__flops_" in entry["array"])


def test_queues_have_the_places_that_they_need() -> None:
    """And no more: in an FPGA their number is rounded up."""
    config = CONFIGS["2bit-x4"]
    sizes = {
        target: {
            entry["instance"]: entry["depth"]
            for entry in emit_verilog(config, target=target).manifest["memories"]
            if entry["kind"] == "ram"
        }
        for target in (FPGA, TARGETS["two ports"])
    }
    chip, fpga = sizes[TARGETS["two ports"]], sizes[FPGA]
    assert chip.keys() == fpga.keys()
    assert all(chip[instance] < fpga[instance] for instance in chip)
    buffer = chip["core.row_buffer.ram.memory"]
    assert config.format.beats < buffer < config.format.beats + 16


def test_roms_are_cases_with_the_tables() -> None:
    one = emitted("2bit-x4", "two ports")
    exponentials = one.manifest["tables"]["exp_rom"]
    (rom,) = (body for name, body in modules(one.verilog).items() if "__rom_" in name)
    found = re.findall(r"4'd(\d+): word = 15'h([0-9a-f]+);", rom)
    sums = {int(address): int(word, 16) for address, word in found}
    assert sums == {
        a + 4 * b: exponentials[a] + exponentials[b] for a in range(4) for b in range(4)
    }


def test_without_models_the_arrays_are_missing_and_nothing_else(tmp_path: Path) -> None:
    config = CONFIGS["2bit-x4"]
    whole = emit_verilog(config, target=TARGETS["two ports"])
    bare = emit_verilog(config, target=Target(kind="asic", ram_model="absent"))
    missing = modules(whole.verilog).keys() - modules(bare.verilog).keys()
    arrays = {entry["array"] for entry in bare.manifest["memories"] if entry["place"] == "block"}
    assert missing == arrays
    assert len(arrays) == 2
    assert modules(bare.verilog).keys() < modules(whole.verilog).keys()


@pytest.mark.simulator
@VERILATORS
@EVERY
def test_lint_is_clean(name: str, target: str, top: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "exaq_softmax.v").write_text(emitted(name, target, top).verilog)
    arguments = ["--language", "1364-2001", "--top-module", "exaq_softmax", "exaq_softmax.v"]
    done = verilator(kind, tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.simulator
def test_icarus_takes_the_text_as_verilog_2001(tmp_path: Path) -> None:
    command = shutil.which("iverilog") or pytest.skip("iverilog is not installed")
    for name, target, top in (("2bit-x4", "two ports", "axi"), ("3 contexts", "one port", "core")):
        (tmp_path / "unit.v").write_text(emitted(name, target, top).verilog)
        arguments = ["-g2001", "-Wall", "-o", "unit", "unit.v"]
        done = subprocess.run(
            [command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr


CHECK = """
read_verilog {file}
hierarchy -check -top exaq_softmax
proc
check -assert
select -assert-none t:$dlatch t:$adlatch t:$dlatchsr t:$sr
select -assert-{async} t:$adff t:$adffe
select -assert-min 50 t:$dff t:$dffe t:$sdff t:$adff
design -reset
"""


def test_yosys_finds_no_latch_and_the_resets_that_were_asked_for(tmp_path: Path) -> None:
    script = ""
    for name in ("2bit-x4", "3 contexts", "baps-x4"):
        for target, chosen in TARGETS.items():
            file = f"{name}-{target}.v".replace(" ", "-").replace(",", "")
            (tmp_path / file).write_text(emitted(name, target).verilog)
            kind = "min 20" if chosen.reset == "async" else "none"
            script += CHECK.format(file=file, **{"async": kind})
    done = yosys(tmp_path, script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ram": "single-port"}, "ram is for the target asic alone"),
        ({"reset": "async"}, "reset is for the target asic alone"),
        ({"kind": "gpu"}, "target must be fpga or asic, not 'gpu'"),
        ({"kind": "asic", "ram_latency": 3}, "ram_latency must be in 1..2, not 3"),
    ],
)
def test_what_no_target_can_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Target(**changes)  # type: ignore[arg-type]
