"""Contexts and registers as the driver handles them, on units of our own that break a rule each."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from exaq import SoftmaxConfig, Tables
from exaq_cosim import HangError, LoadError, ProtocolError, Streamed, build_library, stream_rows
from exaq_hdl.shell.register_map import REGISTERS

CONFIG = SoftmaxConfig(
    lanes=2, group=1, logit_width=8, prob_bits=8, max_row=2, full_rate_row=16, contexts=3
)
TABLES = Tables(thresholds=(-300, -20, 0), exp_rom=(1, 2, 300, 16383))

# Keeps the address and the four bytes of each word written; a logit k comes back as byte k of all
# that. Reads give STATUS whatever the address. `waits`: the answer on the port was refused once.
UNIT = """
module exaq_softmax (
    input aclk, input aresetn,
    input [15:0] s_axis_tdata, input [1:0] s_axis_tkeep, input [1:0] s_axis_tuser,
    input [1:0] s_axis_tid, input s_axis_tlast, input s_axis_tvalid, output s_axis_tready,
    output reg [15:0] m_axis_tdata, output [1:0] m_axis_tkeep, output m_axis_tuser,
    output [1:0] m_axis_tid, output m_axis_tlast, output reg m_axis_tvalid, input m_axis_tready,
    input [11:0] s_axi_awaddr, input [2:0] s_axi_awprot, input s_axi_awvalid,
    output s_axi_awready, input [31:0] s_axi_wdata, input [3:0] s_axi_wstrb, input s_axi_wvalid,
    output s_axi_wready, output [1:0] s_axi_bresp, output s_axi_bvalid, input s_axi_bready,
    input [11:0] s_axi_araddr, input [2:0] s_axi_arprot, input s_axi_arvalid,
    output s_axi_arready, output [31:0] s_axi_rdata, output [1:0] s_axi_rresp,
    output s_axi_rvalid, input s_axi_rready
);
    reg [7:0] log [0:255];
    reg [7:0] logged;
    reg [15:0] age;
    reg [11:0] address;
    reg [31:0] word;
    reg [1:0] id;
    reg addressed, worded, wrote, reading, stalled, waits;
    assign s_axis_tready = !m_axis_tvalid || m_axis_tready;
    assign {m_axis_tkeep, m_axis_tlast, m_axis_tuser} = 4'b1110;
    assign m_axis_tid = TID;
    assign s_axi_awready = AWREADY;
    assign s_axi_wready = WREADY;
    assign s_axi_bvalid = BVALID;
    assign s_axi_bresp = BRESP;
    assign s_axi_arready = ARREADY;
    assign s_axi_rvalid = RVALID;
    assign s_axi_rdata = STATUS;
    assign s_axi_rresp = RRESP;
    always @(posedge aclk) begin
        age <= age + 1;
        stalled <= m_axis_tvalid && !m_axis_tready;
        waits <= (s_axi_bvalid && !s_axi_bready) || (s_axi_rvalid && !s_axi_rready);
        if (s_axi_awvalid && s_axi_awready) {addressed, address} <= {1'b1, s_axi_awaddr};
        if (s_axi_wvalid && s_axi_wready) {worded, word} <= {1'b1, s_axi_wdata};
        if (addressed && worded && !wrote) begin
            wrote <= 1;
            log[logged] <= address[7:0];
            log[logged + 1] <= word[7:0];
            log[logged + 2] <= word[15:8];
            log[logged + 3] <= word[23:16];
            log[logged + 4] <= word[31:24];
            logged <= logged + 5;
        end
        if (s_axi_bvalid && s_axi_bready) {addressed, worded, wrote} <= 0;
        if (s_axi_arvalid && s_axi_arready) reading <= 1;
        if (s_axi_rvalid && s_axi_rready) reading <= 0;
        if (s_axis_tready) begin
            m_axis_tvalid <= s_axis_tvalid;
            id <= s_axis_tid;
            m_axis_tdata <= {log[s_axis_tdata[15:8]], log[s_axis_tdata[7:0]]};
        end
        if (!aresetn)
            {age, logged, addressed, worded, wrote, reading, stalled, waits, m_axis_tvalid} <= 0;
    end
endmodule
"""


def bits(*names: str) -> int:
    """A STATUS word with these fields set."""
    return sum(REGISTERS["STATUS"].field(name).mask for name in names)


GOOD = {
    "TID": "id",
    "AWREADY": "!addressed",
    "WREADY": "!worded",
    "BVALID": "wrote",
    "BRESP": "0",
    "ARREADY": "!reading",
    "RVALID": "reading",
    "STATUS": f"{bits('ready', 'done')}",
    "RRESP": "0",
}


def unit(**broken: str) -> str:
    text = UNIT
    for name, expression in (GOOD | broken).items():
        text = text.replace(f"= {name};", f"= {expression};")
    return text


def run(verilog: str, *, loads: tuple[int, ...] = (2, 0), stall: float = 0.0) -> Streamed:
    """256 bytes of what was written, in rows of two, contexts 0, 1, 2, 0, ..."""
    logits: NDArray[np.int8] = np.arange(256, dtype=np.uint8).view(np.int8).reshape(128, 2)
    return stream_rows(
        build_library(verilog, CONFIG),
        CONFIG,
        logits,
        np.full(128, 2, np.int32),
        contexts=np.arange(128, dtype=np.int32) % 3,
        loads=[(context, TABLES) for context in loads],
        stall=stall,
        seed=5,
    )


@pytest.mark.simulator
@pytest.mark.parametrize("stall", [0, 0.6])
@pytest.mark.parametrize(
    "order",
    [
        {},
        {"AWREADY": "worded && !addressed"},
        {"WREADY": "addressed && !worded && age[1:0] == 0"},
    ],
    ids=["either", "word first", "address first"],
)
def test_the_words_of_the_loads_are_written(order: dict[str, str], stall: float) -> None:
    result = run(unit(**order), stall=stall)
    written = result.elements.reshape(-1)[: 2 * 9 * 5].reshape(18, 5)
    words = written[:, 1:].copy().view("<i4").reshape(2, 9)
    clear, begin, word = (REGISTERS[name].offset for name in ("STATUS", "LOAD_BEGIN", "LOAD_WORD"))
    assert written[:, 0].tolist() == [clear, begin, *[word] * 7] * 2
    sticky = REGISTERS["STATUS"].mask(sticky=True)
    # -256 is the lowest threshold that the unit takes, and what no logit can miss.
    assert words.tolist() == [
        [sticky, context, -256, -20, 0, 1, 2, 300, 16383] for context in (2, 0)
    ]
    assert result.load_cycles > 0


@pytest.mark.simulator
def test_a_load_waits_until_the_unit_is_ready() -> None:
    late = run(unit(STATUS=f"age < 3000 ? {bits('busy')} : {bits('ready', 'done')}"))
    soon = run(unit())
    assert soon.stamps[0, 0] < 200
    assert 3000 < late.stamps[0, 0] < 3200
    # What the first load waits for is not of the loading.
    assert late.load_cycles == soon.load_cycles
    np.testing.assert_array_equal(late.elements[:45], soon.elements[:45])


@pytest.mark.simulator
def test_slow_answers_are_no_hang() -> None:
    slow, soon = run(unit(BVALID="wrote && age[8:0] == 0")), run(unit())
    assert slow.load_cycles > 17 * 512
    np.testing.assert_array_equal(slow.elements[:45], soon.elements[:45])


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("broken", "stall", "message"),
    [
        ({"TID": "id ^ 2"}, 0, "m_axis_tid is not the row's context (cycle"),
        ({"TID": "id | 1"}, 0, "m_axis_tid is not the row's context (cycle"),
        (
            {"TID": "id ^ {1'b0, stalled}"},
            0.5,
            "m_axis payload changed before the beat was taken (cycle",
        ),
        ({"BVALID": "worded"}, 0.5, "s_axi answers what was not asked (cycle"),
        (
            {"BVALID": "addressed", "WREADY": "addressed && !worded && age[1:0] == 0"},
            0,
            "s_axi answers what was not asked (cycle",
        ),
        ({"BVALID": "wrote || age > 80"}, 0, "s_axi answers what was not asked (cycle"),
        ({"RVALID": "reading || wrote"}, 0, "s_axi answers what was not asked (cycle"),
        (
            {"BVALID": "wrote && !waits"},
            0.5,
            "s_axi takes an answer back before it was taken (cycle",
        ),
        (
            {"RVALID": "reading && !waits"},
            0.5,
            "s_axi takes an answer back before it was taken (cycle",
        ),
        ({"BRESP": "logged > 50 ? 2 : 0"}, 0, "s_axi answers with an error (cycle"),
        ({"RRESP": "logged > 50 ? 2 : 0"}, 0, "s_axi answers with an error (cycle"),
    ],
)
def test_a_broken_rule_is_named(broken: dict[str, str], stall: float, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        run(unit(**broken), stall=stall)
    assert str(caught.value).startswith(message)


@pytest.mark.simulator
@pytest.mark.parametrize(("after", "context"), [(0, 2), (50, 0)])
def test_errors_name_the_load_that_was_under_way(after: int, context: int) -> None:
    with pytest.raises(ProtocolError, match=rf", load of context {context}\)$"):
        run(unit(BRESP=f"logged >= {after} ? 2 : 0"))


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (("refused", "thresholds", "exponentials"), "refused, thresholds, exponentials"),
        (("overrun", "done"), "overrun"),
        (("length", "context"), "length, context"),
    ],
)
def test_a_refusal_is_told_with_its_reasons(reasons: tuple[str, ...], words: str) -> None:
    status = f"logged > 50 ? {bits('ready', *reasons)} : {bits('ready', 'done')}"
    with pytest.raises(LoadError) as caught:
        run(unit(STATUS=status))
    text, _, place = str(caught.value).partition(" (cycle ")
    assert text == f"the unit refused the tables of context 0: {words}"
    assert place.endswith(")")


@pytest.mark.simulator
@pytest.mark.parametrize(
    ("broken", "context"),
    [
        ({"STATUS": f"{bits('done')}"}, 2),
        ({"STATUS": f"{bits('ready')}"}, 2),
        ({"STATUS": f"{bits('ready')} | (logged < 50 ? {bits('done')} : 0)"}, 0),
        ({"AWREADY": "!addressed && logged < 20"}, 2),
        ({"WREADY": "!worded && logged < 70"}, 0),
        ({"ARREADY": "0"}, 2),
        ({"BVALID": "0"}, 2),
        ({"RVALID": "0"}, 2),
    ],
)
def test_a_load_that_never_ends_is_a_hang(broken: dict[str, str], context: int) -> None:
    with pytest.raises(HangError) as caught:
        run(unit(**broken))
    message, _, cycle = str(caught.value).rpartition(" ")
    # 4 * 1 beat + 4096, and for each of 3 contexts 4 + 2 + 64 + 128.
    assert message == (
        f"the unit hangs: the load of context {context} made no progress for 4694 cycles up to "
        "cycle"
    )
    assert 4694 <= int(cycle) < 5200
