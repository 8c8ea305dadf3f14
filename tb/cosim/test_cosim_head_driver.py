"""The checks of the heads' driver, on small units of our own that each break one rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exaq.attention import AttentionConfig
from exaq.attention.head_operands import HeadOperands
from exaq_cosim import HangError, ProtocolError
from exaq_cosim.build import build_head_library
from exaq_cosim.head_stream import StreamedHeads, stream_heads

CONFIG = AttentionConfig(head_size=16, keys="int8", output_width=8, max_row=16)
ROWS, KEYS = 6, 5

# Once keys and values are in, gives back the rows of q, each in two beats; stalled: the beat on the
# port was refused a cycle ago.
ECHO = """
module exaq_attention (
    input aclk, input aresetn,
    input [127:0] s_axis_q_tdata, input s_axis_q_tuser, input s_axis_q_tlast,
    input s_axis_q_tvalid, output s_axis_q_tready,
    input [127:0] s_axis_k_tdata, input s_axis_k_tlast,
    input s_axis_k_tvalid, output s_axis_k_tready,
    input [127:0] s_axis_v_tdata, input s_axis_v_tlast,
    input s_axis_v_tvalid, output s_axis_v_tready,
    output [63:0] m_axis_tdata, output m_axis_tuser,
    output m_axis_tlast, output m_axis_tvalid, input m_axis_tready
);
    reg [127:0] store [0:63];
    reg [5:0] head, tail;
    reg half, keys, values, stalled;
    reg [3:0] cycle;
    wire there = tail != head && keys && values;
    wire [63:0] data = half ? store[tail][127:64] : store[tail][63:0];
    assign s_axis_q_tready = Q_READY;
    assign s_axis_k_tready = K_READY;
    assign s_axis_v_tready = V_READY;
    assign m_axis_tvalid = VALID;
    assign m_axis_tdata = DATA;
    assign m_axis_tlast = LAST;
    assign m_axis_tuser = USER;
    always @(posedge aclk) begin
        cycle <= cycle + 1;
        stalled <= m_axis_tvalid && !m_axis_tready;
        if (s_axis_q_tvalid && s_axis_q_tready) begin
            store[head] <= s_axis_q_tdata;
            head <= head + 1;
        end
        if (s_axis_k_tvalid && s_axis_k_tready && s_axis_k_tlast) keys <= 1;
        if (s_axis_v_tvalid && s_axis_v_tready && s_axis_v_tlast) values <= 1;
        if (m_axis_tvalid && m_axis_tready) begin
            half <= !half;
            if (half) tail <= tail + 1;
        end
        if (!aresetn) begin
            head <= 0; tail <= 0; half <= 0; keys <= 0; values <= 0; stalled <= 0; cycle <= 0;
        end
    end
endmodule
"""
GOOD = {
    "Q_READY": "1'b1",
    "K_READY": "1'b1",
    "V_READY": "1'b1",
    "VALID": "there",
    "DATA": "data",
    "LAST": "half",
    "USER": "1'b0",
}


def operands() -> HeadOperands:
    rng = np.random.default_rng(1)
    q, k, v = (rng.integers(-128, 128, (count, 16)) for count in (ROWS, KEYS, KEYS))
    return HeadOperands.of(q, k, v, CONFIG)


def run(*, stall: float = 0.0, **broken: str) -> StreamedHeads:
    text = ECHO
    for name, expression in (GOOD | broken).items():
        text = text.replace(f"= {name};", f"= {expression};")
    library = build_head_library(text, CONFIG, outputs_per_beat=8)
    return stream_heads(library, CONFIG, operands(), stall=stall, seed=5)


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.5])
def test_a_sound_unit_passes(stall: float) -> None:
    given = operands()
    found = run(stall=stall)
    np.testing.assert_array_equal(found.outputs, given.q)
    assert not found.row_errors.any()
    assert (found.first_out > np.maximum(found.row_in, found.loaded[0])).all()
    if not stall:
        assert found.first_in == 0
        np.testing.assert_array_equal(found.row_in[0], np.arange(ROWS))
        assert found.loaded.tolist() == [KEYS - 1]
        np.testing.assert_array_equal(found.first_out[0], KEYS + 2 * np.arange(ROWS))
        np.testing.assert_array_equal(found.last_out, found.first_out + 1)


@pytest.mark.simulator
@pytest.mark.parametrize("side", ["K_READY", "V_READY"])
def test_operands_are_in_when_the_later_ones_are(side: str) -> None:
    """Of one stream a beat goes in every other cycle only."""
    changes: dict[str, Any] = {side: "cycle[0]"}
    found = run(**changes)
    assert found.loaded.tolist() == [2 * KEYS - 1]
    np.testing.assert_array_equal(found.first_out[0], 2 * KEYS + 2 * np.arange(ROWS))


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("broken", "stall", "message"),
    [
        ({"VALID": "there && !stalled"}, 0.5, "m_axis_tvalid fell before the beat was taken"),
        (
            {"DATA": "data ^ {63'b0, stalled}"},
            0.5,
            "m_axis payload changed before the beat was taken",
        ),
        ({"LAST": "half ^ stalled"}, 0.5, "m_axis payload changed before the beat was taken"),
        ({"USER": "half && stalled"}, 0.5, "m_axis payload changed before the beat was taken"),
        (
            {"VALID": "aresetn"},
            0,
            "a beat came out of no row, or before its row, keys and values were in",
        ),
        (
            {"VALID": "tail != head && values", "K_READY": "cycle < 4 || tail != 0"},
            0,
            "a beat came out of no row, or before its row, keys and values were in",
        ),
        (
            {"VALID": "tail != head && keys", "V_READY": "cycle < 4 || tail != 0"},
            0,
            "a beat came out of no row, or before its row, keys and values were in",
        ),
        (
            {"VALID": "there || (keys && tail == 6)"},
            0,
            "a beat came out of no row, or before its row, keys and values were in",
        ),
        ({"LAST": "1'b0"}, 0, "m_axis_tlast is missing at the row's last beat"),
        ({"LAST": "1'b1"}, 0, "m_axis_tlast came before the row's last beat"),
        ({"USER": "1'b1"}, 0, "m_axis_tuser reports an error before the row's last beat"),
    ],
)
def test_a_broken_rule_is_named(broken: dict[str, str], stall: float, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        run(stall=stall, **broken)
    text, _, place = str(caught.value).rpartition(" (")
    assert text == message
    assert place.startswith("cycle ")


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("broken", "came"),
    [
        (
            {"Q_READY": "1'b0"},
            "4176 cycles up to cycle 4181, with 0 of 6 rows of q, 5 of 5 keys, 5 of 5 values in "
            "and 0 rows out; s_axis_q not taken",
        ),
        (
            {"K_READY": "head < 3", "V_READY": "head < 2"},
            "4176 cycles up to cycle 4182, with 6 of 6 rows of q, 3 of 5 keys, 2 of 5 values in "
            "and 0 rows out; s_axis_k, s_axis_v not taken",
        ),
        (
            {"VALID": "there && tail < 2"},
            "4176 cycles up to cycle 4185, with 6 of 6 rows of q, 5 of 5 keys, 5 of 5 values in "
            "and 2 rows out",
        ),
    ],
)
def test_a_hang_ends_with_what_waits(broken: dict[str, Any], came: str) -> None:
    with pytest.raises(HangError) as caught:
        run(**broken)
    assert str(caught.value) == f"the unit hangs: no beat moved for {came}"
