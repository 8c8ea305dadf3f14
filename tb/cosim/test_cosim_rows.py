"""Codes and row results through the compiled RTL, and the driver's checks of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import exaq
from exaq import SoftmaxConfig
from exaq_cosim import (
    HangError,
    ProtocolError,
    build_library,
    golden,
    golden_results,
    simulate,
    stream_rows,
)

CONFIGS = {
    "codes and sums": SoftmaxConfig(output="codes", row_results="sum", max_row=48),
    "codes and tables": SoftmaxConfig(
        output="codes", bits=3, lanes=6, logit_width=12, max_row=48, prob_bits=20, masking=False
    ),
    "many lanes": SoftmaxConfig(output="codes", lanes=36, max_row=72, row_results="sum"),
    "tables, contexts": SoftmaxConfig(
        row_results="table", contexts=3, lanes=2, max_row=48, logit_width=20, logit_scale=2**-15
    ),
    "codes, one context": SoftmaxConfig(output="codes", contexts=1, max_row=48),
}


def arguments(config: SoftmaxConfig, rows: int, seed: int) -> tuple[Any, dict[str, Any]]:
    """Rows of all lengths, some too long, some without a live element."""
    rng = np.random.default_rng(seed)
    longest = config.max_row + config.lanes + 1
    low, high = config.logit_range
    near = np.clip(np.rint(rng.normal(0, 2 / config.logit_scale, (rows, longest))), low, high)
    wide = rng.integers(low, high + 1, (rows, longest))
    logits = np.where(rng.random((rows, 1)) < 0.5, near, wide).astype(np.int64)
    lengths = np.where(rng.random(rows) < 0.3, rng.integers(1, 9, rows), longest)
    lengths = np.where(rng.random(rows) < 0.5, rng.integers(1, longest + 1, rows), lengths)
    options: dict[str, Any] = {"lengths": lengths, "overlong": True}
    if config.masking:
        options["mask"] = rng.random((rows, longest)) < rng.choice([0, 0.5, 1, 1.1], (rows, 1))
    if config.contexts:
        options["contexts"] = rng.integers(0, config.contexts, rows)
    return logits, options


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.3])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_bit_row_by_row(name: str, stall: float) -> None:
    """By ``exaq.quantize``, ``exaq.softmax`` and ``exaq.row_results`` of each row alone."""
    config = CONFIGS[name]
    logits, options = arguments(config, 120, 3)
    run = simulate(logits, config, stall=stall, seed=5, **options)
    results = run.results
    assert results is not None
    codes = config.output == "codes"
    given = run.codes if codes else run.probabilities
    function = exaq.quantize if codes else exaq.softmax
    for k, length in enumerate(options["lengths"]):
        kept = min(length, config.max_row)
        row: dict[str, Any] = {}
        if config.masking:
            row["mask"] = options["mask"][k, :kept]
        if config.contexts:
            row["contexts"] = options["contexts"][k]
        np.testing.assert_array_equal(given[k, :kept], function(logits[k, :kept], config, **row))
        assert not given[k, kept:].any()
        of_row = exaq.row_results(logits[k, :kept], config, **row)
        for member, value in of_row.arrays().items():
            np.testing.assert_array_equal(results.arrays()[member][k], value)
            assert results.arrays()[member].dtype == value.dtype
    np.testing.assert_array_equal(run.row_errors, options["lengths"] > config.max_row)
    np.testing.assert_array_equal(given, golden(logits, config, **options))
    assert results.differing(golden_results(logits, config, **options)) == 0


@pytest.mark.simulator
@pytest.mark.parametrize("name", CONFIGS)
def test_cycles(name: str) -> None:
    """What the manifest declares of a row alone, and full rate from the declared row on."""
    from exaq_hdl import emit_verilog

    config = CONFIGS[name]
    declared = emit_verilog(config).manifest
    rng = np.random.default_rng(2)
    low, high = config.logit_range
    for beats in (1, 2, config.beats):
        run = simulate(rng.integers(low, high + 1, (1, beats * config.lanes)), config)
        assert run.latency.max == declared["latency"]["cycles"]
        assert run.results_latency is not None
        assert run.results_latency.max == declared["row_results"]["latency"]
        assert run.to_dict()["results_latency"]["max"] == declared["row_results"]["latency"]
        if config.output == "codes" and not config.contexts:
            assert run.row_cycles.max <= 2 * beats + 20
    if config.full_rate_row <= config.max_row:
        run = simulate(rng.integers(low, high + 1, (300, config.full_rate_row)), config)
        beats = 300 * config.full_rate_beats
        assert run.beats_in == run.beats_out == beats
        assert run.last_in[-1] - run.first_in[0] + 1 == beats
        assert run.last_out[-1] - run.first_out[0] + 1 == beats


@pytest.mark.simulator
def test_parts_of_rows_that_hardware_gave_make_the_rows() -> None:
    """Cut into three, each part through the unit: what merges is what the model's parts make."""
    config = SoftmaxConfig(output="codes", row_results="sum", max_row=48)
    logits = np.random.default_rng(6).integers(-128, 128, (4, 30, 120))
    parts, model = [], []
    for begin in (0, 40, 80):
        part = logits[..., begin : begin + 40]
        parts.append(simulate(part, config, stall=0.2).results)
        model.append(exaq.row_results(part, config))
    assert None not in parts
    merged, expected = exaq.merge(parts, config), exaq.merge(model, config)  # type: ignore[arg-type]
    np.testing.assert_array_equal(merged.tables(config), expected.tables(config))
    np.testing.assert_array_equal(merged.maximum, logits.max(axis=-1))


@pytest.mark.simulator
def test_what_a_unit_does_not_give_is_refused() -> None:
    run = simulate([[1, 2, 3]], CONFIGS["codes and sums"])
    assert run.codes.dtype == np.uint8
    with pytest.raises(TypeError, match=r"\Athe unit gives codes, not probabilities\Z"):
        _ = run.probabilities
    plain = SoftmaxConfig(max_row=48)
    run = simulate([[1, 2, 3]], plain)
    assert run.results is None
    assert run.results_latency is None
    assert "results_latency" not in run.to_dict()
    with pytest.raises(TypeError, match=r"\Athe unit gives probabilities, not codes\Z"):
        _ = run.codes
    message = r"\Athe configuration has no row results: row_results is none\Z"
    with pytest.raises(ValueError, match=message):
        golden_results([[1, 2, 3]], plain)


SMALL = SoftmaxConfig(
    lanes=2, group=1, logit_width=8, prob_bits=8, max_row=16, output="codes", row_results="sum"
)

# Keeps rows and gives their codes, all 0, and a result for each when it has left.
ECHO = """
module exaq_softmax (
    input aclk, input aresetn,
    input [15:0] s_axis_tdata, input [1:0] s_axis_tkeep, input [1:0] s_axis_tuser,
    input s_axis_tlast, input s_axis_tvalid, output s_axis_tready,
    output [7:0] m_axis_tdata, output [0:0] m_axis_tkeep, output [1:0] m_axis_tuser,
    output m_axis_tlast, output m_axis_tvalid, input m_axis_tready,
    output [31:0] m_row_tdata, output m_row_tuser, output m_row_tvalid, input m_row_tready
);
    reg [4:0] store [0:255];
    reg [7:0] head, whole, tail, left, told, rows;
    reg valid, last, stalled;
    reg [1:0] keep, user;
    assign s_axis_tready = 1'b1;
    assign m_axis_tvalid = valid;
    assign m_axis_tdata = DATA;
    assign m_axis_tkeep = KEEP;
    assign m_axis_tlast = last;
    assign m_axis_tuser = USER;
    assign m_row_tvalid = ROW;
    assign m_row_tdata = SUM;
    assign m_row_tuser = ERROR;
    always @(posedge aclk) begin
        stalled <= m_row_tvalid && !m_row_tready;
        if (s_axis_tvalid) begin
            store[head] <= {s_axis_tlast, s_axis_tkeep, ~s_axis_tuser};
            head <= head + 1;
            if (s_axis_tlast) begin whole <= head + 1; rows <= rows + 1; end
        end
        if (!valid || m_axis_tready) begin
            valid <= tail != whole;
            if (tail != whole) begin
                {last, keep, user} <= store[tail];
                tail <= tail + 1;
            end
        end
        if (valid && m_axis_tready && last) left <= left + 1;
        if (m_row_tvalid && m_row_tready) told <= told + 1;
        if (!aresetn) begin
            {head, whole, tail, left, told, rows} <= 0;
            {valid, stalled} <= 0;
        end
    end
endmodule
"""
GOOD = {
    "DATA": "8'b0",
    "KEEP": "keep[0]",
    "USER": "(last ? keep : 2'b11) & user",
    "ROW": "told != left",
    "SUM": "32'h00123456",
    "ERROR": "1'b0",
}


def run_echo(stall: float = 0.0, **broken: str) -> Any:
    text = ECHO
    for name, expression in (GOOD | broken).items():
        text = text.replace(f"= {name};", f"= {expression};")
    rng = np.random.default_rng(1)
    logits = rng.integers(-128, 128, (12, 16)).astype(np.int8)
    lengths = np.array([6, 2, 5, 4, 1, 16, 3, 7, 8, 2, 2, 9], np.int32)
    live = rng.random((12, 16)) < 0.7
    library = build_library(text, SMALL)
    return stream_rows(library, SMALL, logits, lengths, live, stall=stall, seed=5)


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.5])
def test_a_sound_unit_passes(stall: float) -> None:
    found = run_echo(stall)
    assert not found.elements.any()
    assert found.elements.dtype == np.uint8
    assert found.results.maximum.tolist() == [0x56] * 12
    assert found.results.sum.tolist() == [0x1234] * 12
    assert found.results.table is None
    assert (found.stamps[4] > found.stamps[3]).all()


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("broken", "stall", "message"),
    [
        ({"DATA": "8'h10"}, 0, "a lane without an element is not 0"),
        ({"DATA": "last && !keep[1] ? 8'h04 : 8'h00"}, 0, "a lane without an element is not 0"),
        ({"KEEP": "1'b0"}, 0, "m_axis_tkeep does not mark the row's elements"),
        ({"USER": "2'b11"}, 0, "m_axis_tuser does not mark the row's live elements"),
        ({"USER": "user"}, 0, "m_axis_tuser does not mark the row's live elements"),
        ({"USER": "keep & user & 2'b01"}, 0, "m_axis_tuser does not mark the row's live elements"),
        ({"ROW": "told != left && !stalled"}, 0.5, "m_row_tvalid fell before the row was taken"),
        ({"SUM": "{31'b0, stalled}"}, 0.5, "m_row payload changed before the row was taken"),
        ({"ERROR": "stalled"}, 0.5, "m_row payload changed before the row was taken"),
        ({"ROW": "aresetn"}, 0, "results came of no row, or before their row was in"),
        (
            {"ROW": "told != left || (aresetn && head == 8'd35)"},
            0,
            "results came of no row, or before their row was in",
        ),
    ],
)
def test_a_broken_rule_is_named(broken: dict[str, str], stall: float, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        run_echo(stall, **broken)
    text, _, place = str(caught.value).rpartition(" (")
    assert text == message
    assert place.startswith("cycle ")


@pytest.mark.simulator
def test_results_that_do_not_come_are_a_hang() -> None:
    with pytest.raises(HangError) as caught:
        run_echo(ROW="told != left && told < 8'd3")
    begin, _, rest = str(caught.value).partition(" up to cycle ")
    assert begin == "the unit hangs: no beat moved for 4128 cycles"
    assert rest.partition(", ")[2] == "with 12 of 12 rows in and 12 out, and results of 3"
