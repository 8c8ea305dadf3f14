"""What the modules of LiteX have, what they refuse, and the C driver."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import litex.soc.software as software
import pytest
from litex.build.sim import SimPlatform
from litex.soc.integration import export
from litex_soc import Case, make_soc

import exaq
from exaq_litex import ExaqSoftmax, RowDMA, row_dma_header
from exaq_litex.example.__main__ import main

PLAIN = exaq.SoftmaxConfig(lanes=4, max_row=16, masking=False)
FULL = exaq.SoftmaxConfig(lanes=4, max_row=16, contexts=2, window=True)


def widths(endpoint: Any) -> dict[str, int]:
    described = endpoint.description
    return dict(described.payload_layout + described.param_layout)


def test_streams_are_as_the_manifest_says() -> None:
    config = FULL.replace(output="codes", row_results="sum")
    unit = ExaqSoftmax(SimPlatform("SIM", []), config)
    ports = {port["name"]: port["width"] for port in unit.emitted.manifest["ports"]}
    for prefix, endpoint in (
        ("s_axis_t", unit.sink),
        ("m_axis_t", unit.source),
        ("m_row_t", unit.row),
    ):
        fields = {
            name.removeprefix(prefix): width
            for name, width in ports.items()
            if name.startswith(prefix)
        }
        shown = widths(endpoint) | {"valid": 1, "ready": 1, "last": 1}
        assert shown == {"last": 1} | fields
    assert unit.bus.data_width == ports["s_axi_wdata"]


def test_unit_without_contexts_and_masks_has_no_more_than_it_needs() -> None:
    unit = ExaqSoftmax(SimPlatform("SIM", []), PLAIN)
    assert widths(unit.sink) == {"data": 32, "keep": 4}
    assert widths(unit.source) == {"data": 64, "keep": 8, "user": 1}
    assert not hasattr(unit, "bus")
    assert not hasattr(unit, "row")


@pytest.mark.parametrize("config", [PLAIN, FULL])
def test_files_of_the_unit(config: exaq.SoftmaxConfig, tmp_path: Path) -> None:
    unit = ExaqSoftmax(SimPlatform("SIM", []), config, name="other")
    assert unit.write(tmp_path) == tmp_path / "other.v"
    assert (tmp_path / "other.v").read_text(encoding="utf-8") == unit.emitted.verilog
    assert (tmp_path / "other.h").exists() == bool(config.contexts)
    assert "module other" in unit.emitted.verilog


def test_dma_goes_with_its_unit() -> None:
    for config in (FULL, PLAIN.replace(logit_width=12)):
        unit, dma = ExaqSoftmax(SimPlatform("SIM", []), config), RowDMA(config)
        assert widths(dma.source) == widths(unit.sink)
        assert widths(dma.sink) == widths(unit.source)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        (
            {"output": "codes"},
            {},
            "a RowDMA writes probabilities, and the unit gives codes",
        ),
        (
            {"lanes": 3, "max_row": 15},
            {},
            "a beat of logits has 24 bits, which is neither a multiple nor a part of a word of "
            "32 bits",
        ),
        (
            {"prob_bits": 20},
            {"data_width": 64},
            "a beat of probabilities has 96 bits, which is neither a multiple nor a part of a word "
            "of 64 bits",
        ),
        ({}, {"rows": 1}, "rows must be in 2..1024, not 1"),
    ],
)
def test_dma_refuses(changes: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        RowDMA(PLAIN.replace(**changes), **options)


def test_header_refuses_a_name_that_is_none_of_c() -> None:
    with pytest.raises(ValueError, match=r"^name must be a C identifier, not 'row-dma'$"):
        row_dma_header("row-dma")


@pytest.mark.parametrize("config", [PLAIN, FULL])
def test_driver_is_c_for_the_registers_that_there_are(
    config: exaq.SoftmaxConfig, tmp_path: Path
) -> None:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc here")
    soc = make_soc(Case(config=config), tmp_path)
    (tmp_path / "generated").mkdir()
    texts = {
        "generated/csr.h": export.get_csr_header(soc.csr_regions, soc.constants),
        "generated/soc.h": export.get_soc_header(soc.constants),
        "system.h": "",
        "row_dma.h": row_dma_header("row_dma"),
        "use.c": '#include "row_dma.h"\nint use(const struct row_dma_row *row);\n'
        "int use(const struct row_dma_row *row)\n{\n"
        "    return !row_dma_wait_room() || row_dma_put_row(row) || !row_dma_wait_idle();\n}\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    include = Path(next(iter(software.__path__))) / "include"
    command = [gcc, "-std=c99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    command += ["-Wno-int-to-pointer-cast", '-DCONFIG_CPU_NOP="nop"']
    command += [f"-I{tmp_path}", f"-isystem{include}", "use.c"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_example_says_which_compiler_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    folder = tmp_path / "build"
    assert main([str(folder)]) == 2
    assert capsys.readouterr().err == (
        "exaq_litex: error: riscv64-unknown-elf-gcc was not found "
        "(Debian and Ubuntu: apt install gcc-riscv64-unknown-elf)\n"
    )
    assert not folder.exists()
