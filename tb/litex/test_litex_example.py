"""The example SoC: its rows, and what is made of it before a compiler is needed.

The whole is run by ``make litex``, whose result is kept: ``test_litex_record``.
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import exaq
from exaq_litex.example import __main__ as example_main
from exaq_litex.example.example_run import _verilog, _write_headers
from exaq_litex.example.example_soc import ExampleSoC
from exaq_litex.example.sample_rows import LOADED, example_config, rows_header
from exaq_litex.two_units import two_units_verilog


def _numbers(text: str, name: str) -> list[int]:
    (found,) = re.findall(rf"{name}\[\] = \{{(.*)\}};", text)
    return [int(each) for each in re.findall(r"-?\d+", found)]


def test_rows_hold_what_the_golden_model_gives() -> None:
    """Each row, read back from the words in memory, by the tables that the firmware loads."""
    config = example_config()
    text = rows_header(config)
    table = np.reshape(_numbers(text, "example_rows"), (-1, 6))
    logits = np.array(_numbers(text, "example_logits"), "<u4").tobytes()
    wanted = np.array(_numbers(text, "example_wanted"), "<u4").tobytes()
    loaded = exaq.Tables(
        thresholds=tuple(_numbers(text, "example_thresholds")),
        exp_rom=tuple(_numbers(text, "example_exponentials")),
    )
    assert loaded != config.tables
    tables = [config.tables, config.tables]
    tables[LOADED] = loaded
    assert set(table[:, 2]) == {0, 1}
    for begin, length, context, start, stop, place in table:
        row = np.frombuffer(logits, np.int8, length, begin * 4)
        # A row that is too long is closed at max_row.
        row = row[: config.max_row]
        live = (np.arange(len(row)) >= start) & (np.arange(len(row)) < stop)
        plain = config.replace(
            contexts=0, window=False, masking=True, tables=tables[context], row_results="none"
        )
        given = exaq.softmax(row, plain, mask=live)
        found = np.frombuffer(wanted, given.dtype, len(row), place * 4)
        assert np.array_equal(found, given)
    assert f"#define EXAMPLE_ROWS {len(table)}\n" in text
    assert sum(table[:, 1] > config.max_row) == 1
    assert "#define EXAMPLE_LONG_ROWS 1\n" in text


def test_what_software_and_simulator_are_given(tmp_path: Path) -> None:
    soc = ExampleSoC(example_config(), str(tmp_path))
    soc.finalize()
    _write_headers(soc, tmp_path)
    assert "row_dma" in (tmp_path / "generated" / "csr.h").read_text(encoding="utf-8")
    assert "softmax : ORIGIN" in (tmp_path / "generated" / "regions.ld").read_text(encoding="utf-8")
    assert "row_dma_put_row" in (tmp_path / "row_dma.h").read_text(encoding="utf-8")
    texts = _verilog(soc, tmp_path)
    assert re.search(r"^module soc\b", texts["soc.v"], re.MULTILINE)
    whole = "\n".join(texts.values())
    assert "verilator public" not in whole
    for instance in ("VexRiscv", "exaq_softmax"):
        assert re.search(rf"^module {instance}\b", whole, re.MULTILINE), instance
    # What memories hold lies where the simulation looks for it.
    files = set(re.findall(r'\$readmemh\("(\S+)"', texts["soc.v"]))
    assert files
    assert all((tmp_path / name).is_file() for name in files)


def test_modules_run_as_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["two_units_verilog", str(tmp_path / "two")])
    runpy.run_path(two_units_verilog.__file__, run_name="__main__")
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.is_file() for path in paths] == [True] * 3
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["example", str(tmp_path / "example")])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(example_main.__file__, run_name="__main__")
    assert ended.value.code == 2
