"""The driver's checks, on small units of our own that each break one rule."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from exaq import SoftmaxConfig
from exaq_cosim import HangError, ProtocolError, Streamed, build_library, stream_rows

CONFIG = SoftmaxConfig(lanes=2, group=1, logit_width=8, prob_bits=8, max_row=16, full_rate_row=16)

# Keeps rows and gives back their bytes; stalled: the beat on the port was refused a cycle ago.
ECHO = """
module exaq_softmax (
    input aclk, input aresetn,
    input [15:0] s_axis_tdata, input [1:0] s_axis_tkeep, input [1:0] s_axis_tuser,
    input s_axis_tlast, input s_axis_tvalid, output s_axis_tready,
    output [15:0] m_axis_tdata, output [1:0] m_axis_tkeep, output m_axis_tuser,
    output m_axis_tlast, output m_axis_tvalid, input m_axis_tready
);
    reg [18:0] store [0:255];
    reg [7:0] head, whole, tail;
    reg valid, last, stalled;
    reg [15:0] data;
    reg [1:0] keep;
    assign s_axis_tready = READY;
    assign m_axis_tvalid = VALID;
    assign m_axis_tdata = DATA;
    assign m_axis_tkeep = KEEP;
    assign m_axis_tlast = LAST;
    assign m_axis_tuser = USER;
    always @(posedge aclk) begin
        stalled <= m_axis_tvalid && !m_axis_tready;
        if (s_axis_tvalid && s_axis_tready) begin
            store[head] <= {s_axis_tlast, s_axis_tkeep, s_axis_tdata};
            head <= head + 1;
            if (s_axis_tlast) whole <= head + 1;
        end
        if (!valid || m_axis_tready) begin
            valid <= tail != whole;
            if (tail != whole) begin
                {last, keep, data} <= store[tail];
                tail <= tail + 1;
            end
        end
        if (!aresetn) begin
            head <= 0; whole <= 0; tail <= 0; valid <= 0; stalled <= 0;
        end
    end
endmodule
"""
GOOD = {
    "READY": "1'b1",
    "VALID": "valid",
    "DATA": "data",
    "KEEP": "keep",
    "LAST": "last",
    "USER": "1'b0",
}


def unit(**broken: str) -> str:
    text = ECHO
    for name, expression in (GOOD | broken).items():
        text = text.replace(f"= {name};", f"= {expression};")
    return text


def rows() -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    logits = np.random.default_rng(1).integers(-128, 128, (12, 16)).astype(np.int8)
    return logits, np.array([6, 2, 5, 4, 1, 16, 3, 7, 8, 2, 2, 9], np.int32)


def run(verilog: str, *, stall: float = 0.0) -> Streamed:
    logits, lengths = rows()
    return stream_rows(build_library(verilog, CONFIG), CONFIG, logits, lengths, stall=stall, seed=5)


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.5])
def test_a_sound_unit_passes(stall: float) -> None:
    logits, lengths = rows()
    result = run(unit(), stall=stall)
    present = np.arange(16) < lengths[:, None]
    np.testing.assert_array_equal(result.elements, np.where(present, logits.view(np.uint8), 0))
    assert result.beats_in == result.beats_out == np.sum((lengths + 1) // 2)
    assert not result.row_errors.any()
    first_in, last_in, first_out, last_out, _ = result.stamps
    assert (last_in - first_in >= (lengths + 1) // 2 - 1).all()
    assert (first_out > last_in).all()
    assert (last_out - first_out >= (lengths + 1) // 2 - 1).all()
    if not stall:
        beats = (lengths + 1) // 2
        np.testing.assert_array_equal(last_in, np.cumsum(beats) - 1)
        assert first_out[0] == last_in[0] + 2


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("broken", "stall", "message"),
    [
        (
            {"VALID": "valid && !stalled"},
            0.5,
            "m_axis_tvalid fell before the beat was taken",
        ),
        (
            {"DATA": "data ^ {15'b0, stalled}"},
            0.5,
            "m_axis payload changed before the beat was taken",
        ),
        (
            {"LAST": "last ^ stalled"},
            0.5,
            "m_axis payload changed before the beat was taken",
        ),
        (
            {"VALID": "1'b1"},
            0,
            "a beat came out of no row, or before its row was in",
        ),
        ({"LAST": "1'b0"}, 0, "m_axis_tlast is missing at the row's last beat"),
        ({"LAST": "1'b1"}, 0, "m_axis_tlast came before the row's last beat"),
        ({"KEEP": "2'b11"}, 0, "m_axis_tkeep does not mark the row's elements"),
        ({"KEEP": "2'b01"}, 0, "m_axis_tkeep does not mark the row's elements"),
        ({"USER": "1'b1"}, 0, "m_axis_tuser reports an error before the row's last beat"),
        ({"DATA": "data | 16'h0100"}, 0, "a lane without an element is not 0"),
    ],
)
def test_a_broken_rule_is_named(broken: dict[str, str], stall: float, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        run(unit(**broken), stall=stall)
    text, _, place = str(caught.value).rpartition(" (")
    assert text == message
    assert place.startswith("cycle ")


@pytest.mark.simulator
def test_beats_after_the_last_row_are_noticed() -> None:
    # The row of 8 beats is in by cycle 17 and out from 19 on, and no cycle is idle after that:
    # its beats and the 17 after them end with cycle 43.
    with pytest.raises(ProtocolError) as caught:
        run(unit(VALID="valid || (aresetn && tail == 8'd35)"))
    assert str(caught.value) == (
        "a beat came out of no row, or before its row was in (cycle 44, row 12)"
    )


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("ready", "message"),
    [
        ("1'b0", "no beat moved for 4128 cycles up to cycle 4128, with 0 of 12 rows in and 0 out"),
        (
            "head < 4",
            "no beat moved for 4128 cycles up to cycle 4136, with 2 of 12 rows in and 2 out",
        ),
    ],
)
def test_a_hang_ends_with_a_message(ready: str, message: str) -> None:
    with pytest.raises(HangError) as caught:
        run(unit(READY=ready))
    assert str(caught.value) == f"the unit hangs: {message}"


@pytest.mark.simulator
def test_several_units_live_in_one_process() -> None:
    """Their classes have the same names; each must run its own."""
    logits, lengths = rows()
    plain = build_library(unit(), CONFIG)
    inverted = build_library(unit(DATA="data ^ {{8{keep[1]}}, 8'hff}"), CONFIG)
    present = np.arange(16) < lengths[:, None]
    for _ in range(2):
        for library, flip in ((plain, 0), (inverted, 0xFF)):
            result = stream_rows(library, CONFIG, logits, lengths)
            expected = np.where(present, logits.view(np.uint8) ^ flip, 0)
            np.testing.assert_array_equal(result.elements, expected)
