"""The emitted attention unit in Verilog simulators against the golden model.

Files stay in ``build/rtl/attention-NAME-SIMULATOR``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from attention_bins import BINS, missed
from cocotb_tools.runner import get_runner
from rtl_regression import HITS, SEED, VERILATOR, WHEEL, failures

from exaq.attention import AttentionConfig
from exaq_hdl.emit.attention_verilog import emit_attention

BUILD = Path(__file__).parents[2] / "build" / "rtl"
TOP = "exaq_attention"
PUBLIC = f'`verilator_config\npublic_flat_rw -module "{TOP}" -var "*"\n'

CONFIGS: dict[str, dict[str, Any]] = {
    "causal": {"head_size": 16, "max_row": 24, "lanes": 4, "causal": True, "logit_scale": 2**-9},
    "wide": {
        "head_size": 18,
        "keys": "int8",
        "max_row": 270,
        "lanes": 3,
        "bits": 3,
        "value_width": 4,
        "output_width": 8,
        "sink": 900,
    },
    "streamed": {"head_size": 17, "max_row": 20, "lanes": 4, "bits": 2, "logit_scale": 2**-9},
    "multiply": {
        "head_size": 16,
        "keys": "int8",
        "kernel": "multiply",
        "max_row": 24,
        "lanes": 2,
        "causal": True,
    },
}


def test_bins_have_an_intent_each() -> None:
    assert all(BINS.values())
    assert missed(BINS, AttentionConfig(**CONFIGS["wide"]), stored=True) == []
    with pytest.raises(KeyError, match=r"no bins: \['keys\.two'\]"):
        missed(["keys.two"], AttentionConfig(), stored=True)


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("name", "simulator"),
    [
        ("causal", "verilator"),
        ("wide", "verilator"),
        ("streamed", "verilator"),
        ("multiply", "verilator"),
        ("causal", "icarus"),
    ],
)
def test_emitted_head_gives_the_golden_models_bits(name: str, simulator: str) -> None:
    settings = CONFIGS[name]
    build = (BUILD / f"attention-{name}-{simulator}").resolve()
    build.mkdir(parents=True, exist_ok=True)
    config = AttentionConfig(**settings)
    operands = "streamed" if name == "streamed" else "stored"
    emitted = emit_attention(config, operands=operands)
    texts = {"attention.v": emitted.verilog}
    if simulator == "verilator":
        texts["public.vlt"] = PUBLIC
    for file, text in texts.items():
        (build / file).write_text(text, encoding="utf-8")
    told = {"settings": settings, "operands": operands}
    told["outputs_per_beat"] = emitted.manifest["outputs_per_beat"]
    hits = build / HITS
    hits.unlink(missing_ok=True)
    (build / "attention.json").write_text(json.dumps(told), encoding="utf-8")
    log = build / "simulation.log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(WHEEL), prepend=os.pathsep)
        runner = get_runner(simulator)
        runner.build(
            sources=[build / file for file in texts],
            hdl_toplevel=TOP,
            build_dir=build,
            build_args=VERILATOR if simulator == "verilator" else [],
            timescale=("1ns", "1ps"),
            log_file=build / "build.log",
        )
        try:
            runner.test(
                test_module=["cocotb_attention"],
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                build_dir=build,
                seed=SEED,
                extra_env={
                    "EXAQ_ATTENTION": str(build / "attention.json"),
                    "EXAQ_HITS": str(hits),
                },
                log_file=log,
            )
        except SystemExit:
            pytest.fail(failures(log), pytrace=False)
    if simulator == "verilator":
        found = json.loads(hits.read_text(encoding="utf-8"))
        assert missed(found, config, stored=operands == "stored") == []
