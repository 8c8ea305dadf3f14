"""A SoC of LiteX with a unit and a RowDMA, as Verilog in a simulator, bit by bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from litex_simulation import simulate_litex
from litex_soc import Case, write_soc

import exaq

PORTS = ("host_", "memory_", "sys_", "irq")

# Beats of logits and probabilities that are as wide as a word, wider and narrower, also thrice.
CASES = {
    "x4": Case(
        config=exaq.SoftmaxConfig(
            lanes=4, bits=2, max_row=32, contexts=3, window=True, full_rate_row=32
        ),
        interconnect="crossbar",
    ),
    "x1": Case(
        config=exaq.SoftmaxConfig(
            lanes=1,
            bits=3,
            logit_width=16,
            logit_scale=1 / 256,
            prob_bits=8,
            max_row=11,
            masking=False,
        ),
        width=64,
        rows=2,
    ),
    "x12": Case(
        config=exaq.SoftmaxConfig(lanes=12, bits=2, max_row=24, window=True), standard="axi-lite"
    ),
}


@pytest.mark.simulator
@pytest.mark.parametrize("name", CASES)
def test_rows_through_a_soc(
    name: str, tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    told = {
        "config": case.config.to_dict(),
        "width": case.width,
        "rows": case.rows,
        "crossbar": case.interconnect == "crossbar",
        "registers": write_soc(case, tmp_path),
    }
    (tmp_path / "told.json").write_text(json.dumps(told), encoding="utf-8")
    monkeypatch.setenv("EXAQ_LITEX", str(tmp_path / "told.json"))
    sources = [tmp_path / "soc.v", tmp_path / "exaq_softmax.v"]
    ran = simulate_litex(sources, "soc", PORTS, "cocotb_row_dma", tmp_path, runtime)
    assert ran == (6 if case.config.contexts else 4)
