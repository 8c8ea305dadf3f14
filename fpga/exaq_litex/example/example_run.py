"""Firmware and SoC of the example, built and run; nothing but a compiler for RISC-V is needed
beside what pip installs.
"""

import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import litex.soc.cores.cpu as cpus
import litex.soc.software as software
from litex.soc.integration import export
from litex.soc.integration.common import get_mem_data

from exaq.tool import ToolError, run_tool
from exaq_cosim.compiler import Harness, compile_verilog
from exaq_litex import row_dma_header
from exaq_litex.example.example_soc import ExampleSoC
from exaq_litex.example.sample_rows import example_config, rows_header

_GCC, _PACKAGE = "riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf"
_HERE = "exaq_litex.example"
_SECONDS = 300


def run_example(folder: Path) -> str:
    """Builds all in ``folder``, runs the SoC, and gives what its UART printed.

    Raises
    ------
    ToolError
        A compiler is missing, a tool failed, or the firmware did not come to its end.
    """
    if shutil.which(_GCC) is None:
        raise ToolError(f"{_GCC} was not found (Debian and Ubuntu: apt install {_PACKAGE})")
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    config = example_config()
    soc = ExampleSoC(config, str(folder))
    soc.finalize()
    _write_headers(soc, folder)
    (folder / "example_rows.h").write_text(rows_header(config), encoding="utf-8")
    firmware = _compile_firmware(soc, folder)
    soc.init_rom("rom", get_mem_data(str(firmware), data_width=32, endianness="little"))
    program = compile_verilog(_verilog(soc, folder), _harness())
    return run_tool("the SoC", [str(program)], seconds=_SECONDS, folder=folder).stdout


def _write_headers(soc: Any, folder: Path) -> None:
    """What LiteX's Builder writes for software, and the driver of the rows."""
    generated = folder / "generated"
    generated.mkdir(exist_ok=True)
    base = soc.mem_regions["csr"].origin
    texts = {
        "csr.h": export.get_csr_header(soc.csr_regions, soc.constants, csr_base=base),
        "mem.h": export.get_mem_header(soc.mem_regions),
        "soc.h": export.get_soc_header(soc.constants),
        "regions.ld": export.get_linker_regions(soc.mem_regions),
        "output_format.ld": export.get_linker_output_format(soc.cpu),
    }
    for name, text in texts.items():
        (generated / name).write_text(text, encoding="utf-8")
    (folder / "row_dma.h").write_text(row_dma_header("row_dma"), encoding="utf-8")


def _compile_firmware(soc: Any, folder: Path) -> Path:
    """Compiles the firmware with LiteX's start-up code and linker script."""
    cpu = Path(next(iter(cpus.__path__))) / "vexriscv"
    bios = Path(next(iter(software.__path__)))
    source = resources.files(_HERE).joinpath("firmware.c").read_text(encoding="utf-8")
    (folder / "firmware.c").write_text(source, encoding="utf-8")
    elf, binary = folder / "firmware.elf", folder / "firmware.bin"
    command = [
        *(_GCC, *soc.cpu.gcc_flags.split(), "-Os", "-Wall", "-Wextra"),
        *("-ffreestanding", "-nostdlib", "-Wl,--build-id=none"),
        *(f"-I{path}" for path in (folder, cpu, bios / "include")),
        *(f"-L{folder}", "-T", str(bios / "bios" / "linker.ld")),
        *(str(cpu / "crt0.S"), "firmware.c", "-o", str(elf)),
    ]
    run_tool(_GCC, command, seconds=_SECONDS, folder=folder)
    copy = [_GCC.replace("gcc", "objcopy"), "-O", "binary", str(elf), str(binary)]
    run_tool(copy[0], copy, seconds=_SECONDS, folder=folder)
    return binary


def _verilog(soc: Any, folder: Path) -> dict[str, str]:
    """The SoC's Verilog, its processor's and its unit's; what memories hold goes to ``folder``."""
    fragment = soc.get_fragment()
    soc.platform.finalize(fragment)
    # Of the two forms in which LiteX writes logic without a clock, this is that for Verilator.
    text = soc.platform.get_verilog(fragment, name="soc", regular_comb=False)
    for name, content in text.data_files.items():
        (folder / name).write_text(content, encoding="utf-8")
    sources = {Path(file).name: Path(file) for file, *_ in soc.platform.sources}
    texts = {name: path.read_text(encoding="utf-8") for name, path in sources.items()}
    # Signals of VexRiscv that are open to C++ would want headers of DPI.
    return {
        name: verilog.replace("/* verilator public */", "")
        for name, verilog in {"soc.v": text.main_source, **texts}.items()
    }


def _harness() -> Harness:
    main = "uart_console.cpp"
    text = resources.files(_HERE).joinpath(main).read_text(encoding="utf-8")
    return Harness(name="litex", top="soc", prefix="Vsoc", sources={main: text})
