"""The unit behind AXI4-Stream ports."""

from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from exaq import SoftmaxConfig, StreamFormat
from exaq_hdl.checks import check_config
from exaq_hdl.parts.memory import SIMULATED, Memories
from exaq_hdl.shell.axi_unit import AxiUnit, whole_bytes
from exaq_hdl.shell.control import AXI_LITE, Control
from exaq_hdl.shell.ports import Field, Fields, Ports, SignalPort, StreamPort
from exaq_hdl.shell.row_shell import Softmax, unit_ports
from exaq_hdl.shell.streams import logits_meaning, row_error, window_fields
from exaq_hdl.shell.tops import top


def _user_fields(format: StreamFormat) -> Fields:
    """What ``s_axis_tuser`` holds, the first one lowest; empty where there is no such port."""
    masks = {"live": Field(format.lanes, "bit i masks lane i")} if format.masking else {}
    place = format.lanes if format.masking else 0
    for name, field in window_fields(format).items():
        top = place + format.index_bits - 1
        masks[name] = Field(field.shape, f"bits {top}:{place}: {name}, {field.meaning}")
        place = top + 1
    return masks


def axi_stream_ports(format: StreamFormat, unit: Ports) -> dict[str, SignalPort]:
    """The ports of all streams of a unit that has the ports ``unit``."""
    lanes, number = format.lanes, format.context_bits
    placing = "each in its own whole bytes, lane 0 lowest"
    user = _user_fields(format)
    wide = sum(Shape.cast(field.shape).width for field in user.values())
    user_in = SignalPort(In, wide, "; ".join(field.meaning for field in user.values()))
    id_in = SignalPort(In, number, "context of the row; the beat that closes it counts")
    id_out = SignalPort(Out, number, "context of the row")
    given: Any = unit["o"]
    if format.output == "codes":
        elements = _code_ports(format, given.fields)
    else:
        elements = _probability_ports(format, placing)
    row: Any = unit.get("row")
    return (
        {
            "s_axis_tdata": SignalPort(
                In, 8 * format.logit_bytes * lanes, logits_meaning(format, placing)
            ),
            "s_axis_tkeep": SignalPort(
                In,
                format.logit_bytes * lanes,
                "lanes that hold an element, by their lowest byte; with tlast only",
            ),
        }
        | ({"s_axis_tuser": user_in} if user else {})
        | ({"s_axis_tid": id_in} if number else {})
        | {
            "s_axis_tlast": SignalPort(In, 1, "last beat of a row"),
            "s_axis_tvalid": SignalPort(In, 1, "beat offered"),
            "s_axis_tready": SignalPort(Out, 1, "beat taken; a register"),
            **elements,
        }
        | ({"m_axis_tid": id_out} if number else {})
        | {
            "m_axis_tlast": SignalPort(Out, 1, "last beat of a row"),
            "m_axis_tvalid": SignalPort(Out, 1, "beat offered"),
            "m_axis_tready": SignalPort(In, 1, "beat taken"),
        }
        | ({} if row is None else _row_ports(row, id_out if number else None))
    )


def _probability_ports(format: StreamFormat, placing: str) -> dict[str, SignalPort]:
    width = format.prob_bytes * format.lanes
    return {
        "m_axis_tdata": SignalPort(Out, 8 * width, f"probabilities, unsigned, {placing}"),
        "m_axis_tkeep": SignalPort(Out, width, "ones, but for absent lanes of a row's last beat"),
        "m_axis_tuser": SignalPort(Out, 1, f"{row_error(format)}; with tlast only"),
    }


def _code_ports(format: StreamFormat, fields: Fields) -> dict[str, SignalPort]:
    width = _whole_bytes(fields["codes"].shape)
    user = ["lanes that are live: neither masked nor absent"]
    place = format.lanes
    if "reference" in fields:
        reference = fields["reference"]
        top = place + Shape.cast(reference.shape).width - 1
        user.append(f"bits {top}:{place}: reference, {reference.meaning}")
        place = top + 1
    return {
        "m_axis_tdata": SignalPort(
            Out, 8 * width, "codes, packed, lane 0 lowest; zeros up to whole bytes"
        ),
        "m_axis_tkeep": SignalPort(
            Out, width, "bytes that hold a bit of a lane that holds an element"
        ),
        "m_axis_tuser": SignalPort(Out, place, "; ".join(user)),
    }


def _row_ports(row: StreamPort, number: SignalPort | None) -> dict[str, SignalPort]:
    error = row.fields["error"]
    return {
        "m_row_tdata": SignalPort(
            Out,
            8 * sum(map(_whole_bytes, _row_values(row))),
            f"{', '.join(name for name in row.fields if name in _ROW_VALUES)}: each value in its "
            "own whole bytes, the first one lowest",
        ),
        "m_row_tuser": SignalPort(Out, 1, error.meaning),
        **({} if number is None else {"m_row_tid": number}),
        "m_row_tvalid": SignalPort(Out, 1, "row offered"),
        "m_row_tready": SignalPort(In, 1, "row taken"),
    }


# Fields of a row's results that lie in m_row_tdata.
_ROW_VALUES = ("maximum", "sum", "probabilities")


def _row_values(row: StreamPort) -> list[Any]:
    """Shapes of the values in m_row_tdata, the first one lowest."""
    shapes = [field.shape for name, field in row.fields.items() if name in _ROW_VALUES]
    return [each for shape in shapes for each in _elements(shape)]


def _elements(shape: Any) -> list[Any]:
    return [shape.elem_shape] * shape.length if isinstance(shape, data.ArrayLayout) else [shape]


def _whole_bytes(shape: Any) -> int:
    return whole_bytes(Shape.cast(shape).width)


@top("axi")
class AxiSoftmax(AxiUnit):
    """AXI4-Stream top: ``Softmax`` with each lane in its own whole bytes, lane 0 lowest.

    Latency and throughput are the unit's. ``aresetn`` is active low, and synchronous to ``aclk``
    unless the reset is asynchronous. Every output is a register.

    Members
    -------
    s_axis_tdata : logits; bits above logit_width are ignored
    s_axis_tkeep : lanes that hold an element, by their lowest byte; looked at with tlast only
    s_axis_tuser : with masking, bit i masks lane i; above these bits, with windows, the row's start
        and then its stop, index_bits each, looked at with the row's first beat only
    m_axis_tdata : probabilities, zero-extended, or codes, packed to whole bytes a beat
    m_axis_tkeep : ones, but for the absent lanes of a row's last beat; with codes, a bit for each
        byte, set where it holds a bit of a lane that is present
    m_axis_tuser : the row is in error, see ``row_error``; with tlast only. With codes,
        a bit for each lane that is live, and above these the beat's reference, where the kernel
        has one
    m_row_tdata : with row results, a beat a row: the maximum, sign-extended, the sum and, with
        tables, the probabilities of all codes, zero-extended, each in its own whole bytes
    m_row_tuser : the row is in error
    s_axis_tid, m_axis_tid, m_row_tid : with several contexts: the row's; the beat that closes it
        counts
    s_axi_... : with contexts: AXI4-Lite slave for tables and counters, see Control
    """

    def __init__(
        self,
        config: SoftmaxConfig,
        *,
        memories: Memories = SIMULATED,
        async_reset: bool = False,
    ):
        self.config = check_config(config)
        self.softmax = Softmax(config, memories=memories)
        self._unit_ports = unit_ports(config)
        bus = {}
        if config.format.contexts:
            self.control = Control(config, latency=self.softmax.latency)
            bus = AXI_LITE
        ports = axi_stream_ports(config.format, self._unit_ports) | bus
        super().__init__(self.softmax, ports, async_reset=async_reset)

    def elaborate(self, platform: Any) -> Module:
        m, softmax = super().elaborate(platform), self.softmax
        format = self.config.format

        logits, given = softmax.i.payload, softmax.o.payload
        m.d.comb += [
            softmax.i.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(softmax.i.ready),
            logits.last.eq(self.s_axis_tlast),
            logits.tail.eq(Cat(self.s_axis_tkeep[:: format.logit_bytes])),
            self.m_axis_tvalid.eq(softmax.o.valid),
            softmax.o.ready.eq(self.m_axis_tready),
            self.m_axis_tlast.eq(given.last),
        ]
        if format.output == "probabilities":
            m.d.comb += self.m_axis_tuser.eq(given.error)
        if format.masking:
            m.d.comb += logits.live.eq(~self.s_axis_tuser[: format.lanes])
        if format.window:
            edges = self.s_axis_tuser[-2 * format.index_bits :]
            m.d.comb += Cat(logits.start, logits.stop).eq(edges)
        if format.context_bits:
            m.d.comb += [
                logits.context.eq(self.s_axis_tid),
                self.m_axis_tid.eq(given.context),
            ]
        if format.contexts:
            self._control(m)
        for lane in range(format.lanes):
            word = self.s_axis_tdata.word_select(lane, 8 * format.logit_bytes)
            m.d.comb += logits.logits[lane].eq(word[: format.logit_width].as_signed())
            if format.output == "probabilities":
                keep = self.m_axis_tkeep.word_select(lane, format.prob_bytes)
                m.d.comb += [
                    self.m_axis_tdata.word_select(lane, 8 * format.prob_bytes).eq(
                        given.probabilities[lane]
                    ),
                    keep.eq(given.tail[lane].replicate(format.prob_bytes)),
                ]
        if format.output == "codes":
            self._codes(m, given)
        if "row" in self._unit_ports:
            self._row(m)
        return m

    def _codes(self, m: Module, beat: Any) -> None:
        # Present lanes are the lowest ones, so a byte holds one where its lowest lane is one.
        bits = len(beat.codes.as_value()) // self.config.format.lanes
        m.d.comb += [
            self.m_axis_tdata.eq(beat.codes.as_value()),
            self.m_axis_tuser.eq(Cat(beat.live, getattr(beat, "reference", ()))),
            *(keep.eq(beat.tail[8 * byte // bits]) for byte, keep in enumerate(self.m_axis_tkeep)),
        ]

    def _row(self, m: Module) -> None:
        row: Any = self._unit_ports["row"]
        stream, given = self.softmax.row, self.softmax.row.payload
        values = []
        for name in row.fields:
            if name in _ROW_VALUES:
                value = given[name]
                values += list(value) if isinstance(value, data.View) else [value]
        wide = [
            Signal(Shape(8 * _whole_bytes(value.shape()), signed=value.shape().signed))
            for value in values
        ]
        m.d.comb += [
            *(place.eq(value) for place, value in zip(wide, values, strict=True)),
            self.m_row_tdata.eq(Cat(wide)),
            self.m_row_tuser.eq(given.error),
            self.m_row_tvalid.eq(stream.valid),
            stream.ready.eq(self.m_row_tready),
        ]
        if self.config.format.context_bits:
            m.d.comb += self.m_row_tid.eq(given.context)

    def _control(self, m: Module) -> None:
        m.submodules.control = control = self.control
        for name, port in AXI_LITE.items():
            outer, inner = getattr(self, name), getattr(control, name)
            m.d.comb += inner.eq(outer) if port.flow is In else outer.eq(inner)
        wiring.connect(m, control.load, self.softmax.load)
        for name in ("loaded", "refused", "busy", "events"):
            m.d.comb += getattr(control, name).eq(getattr(self.softmax, name))
