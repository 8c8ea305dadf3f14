"""``exaq generate --unit attention``: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from run_exaq import refusal, run_exaq

from exaq.attention import AttentionConfig
from exaq_cli.config import head_options
from exaq_hdl.attention import attention_head, dint_dot
from exaq_hdl.emit.attention_verilog import emit_attention

SMALL = ("--head-size", "16", "--max-row", "32")


def test_choices_are_those_of_the_unit() -> None:
    assert head_options.MULTIPLIERS == dint_dot.MULTIPLIERS
    assert head_options.OPERANDS == attention_head.OPERANDS


@pytest.mark.parametrize(
    ("words", "config", "options"),
    [
        ((), AttentionConfig(head_size=16, max_row=32), {}),
        (
            (
                *("--keys", "int8", "--causal", "--multipliers", "dsp", "--bits", "3"),
                *("--outputs-per-beat", "4", "--lanes", "2", "--value-width", "4", "--top", "core"),
                *("--name", "mine", "--sink", "90"),
            ),
            AttentionConfig(
                head_size=16,
                max_row=32,
                keys="int8",
                causal=True,
                bits=3,
                lanes=2,
                value_width=4,
                sink=90,
            ),
            {"multipliers": "dsp", "outputs_per_beat": 4, "top": "core", "name": "mine"},
        ),
        (
            ("--operands", "streamed"),
            AttentionConfig(head_size=16, max_row=32),
            {"operands": "streamed"},
        ),
    ],
)
def test_what_is_written(
    words: tuple[str, ...], config: AttentionConfig, options: dict[str, Any], tmp_path: Path
) -> None:
    done = run_exaq("generate", "--unit", "attention", *SMALL, *words, "-o", "h.v", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    emitted = emit_attention(config, **options)
    assert (tmp_path / "h.v").read_text() == emitted.verilog
    assert json.loads((tmp_path / "h.json").read_text()) == emitted.manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.json", "h.v"]
    cycles = emitted.manifest["latency"]["cycles"]
    assert f"twice the beats of a row's keys + {cycles} cycles" in done.stdout
    assert ("up to the row's own number" in done.stdout) == config.causal
    names = [port["name"] for port in emitted.manifest["ports"]]
    if options.get("operands") == "streamed":
        assert {"s_axis_k_tkeep", "s_axis_v_tdata", "m_axis_tuser"} < set(names)
        assert not {"s_axis_q_tuser", "s_axis_q_tlast"} & set(names)
        assert "those that come with the row" in done.stdout
    elif options:
        assert names[:4] == ["clk", "rst", "q_q", "q_last"]
    else:
        assert {"s_axis_q_tuser", "s_axis_k_tdata", "s_axis_v_tready", "m_axis_tuser"} < set(names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--window",), "--window is not for the unit attention"),
        (("--contexts", "2"), "--contexts is not for the unit attention"),
        (("--preset", "2bit-x4"), "--preset is not for the unit attention"),
        (("--head-size", "300"), "head_size must be in 16..256, not 300"),
        (
            ("--causal", "--operands", "streamed"),
            "operands must be stored in a causal head, not streamed",
        ),
        (
            ("--outputs-per-beat", "3"),
            "outputs_per_beat must be a power of two that divides head_size (64), not 3",
        ),
    ],
)
def test_what_does_not_fit_is_refused(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    line = ("generate", "--unit", "attention", *words, "-o", "h.v")
    assert refusal(*line, folder=tmp_path) == message
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("unit", "words", "option"),
    [
        ("softmax", ("--keys", "int8"), "--keys"),
        ("softmax", ("--causal",), "--causal"),
        ("level-sums", ("--multipliers", "dsp"), "--multipliers"),
        ("level-sums", ("--causal",), "--causal"),
    ],
)
def test_options_of_a_head_are_refused_elsewhere(
    unit: str, words: tuple[str, ...], option: str, tmp_path: Path
) -> None:
    said = refusal("generate", "--unit", unit, *words, "-o", "h.v", folder=tmp_path)
    assert said == f"{option} is not for the unit {unit}"
