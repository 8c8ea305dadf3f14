"""Loads: how new tables get into a unit with contexts, and how it answers."""

from typing import Any

from amaranth.hdl import signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from exaq import StreamFormat
from exaq_hdl.shell.ports import Field, Ports, SignalPort, StreamPort, layout

_FIELDS = {
    "first": Field(1, "the word begins a load: it is a context number"),
    "word": Field(signed(32), "context number, threshold or exponential; signed"),
}
_WITH_SINK = "context number, threshold, exponential or sink; signed"

#: Word of a load: ``first`` comes with the context number; the kernel's words follow, of EXAQ
#: 2**bits - 1 thresholds, lowest first, then 2**bits exponentials, that of code 0 first, then the
#: sink, where rows have any.
LOAD_WORD = layout(_FIELDS)

#: Why a load was refused; no bit where none was. ``length``: words are missing or too many;
#: ``context``: there is no such context; ``thresholds``: they descend or leave
#: -2**logit_width .. 0; ``exponentials``: one is negative or wider than exp_bits, or the last
#: is 0.
REFUSAL = data.StructLayout({"length": 1, "context": 1, "thresholds": 1, "exponentials": 1})


def refusal(format: StreamFormat) -> data.StructLayout:
    """Why a unit of ``format`` refuses loads: REFUSAL, and ``sink``, where rows have sinks, for one
    that is no logit that takes part.
    """
    sink: dict[str, Any] = {} if format.sink is None else {"sink": 1}
    return data.StructLayout({name: field.shape for name, field in REFUSAL} | sink)


def load_ports(format: StreamFormat) -> Ports:
    """Ports of a unit of ``format`` whose tables can be loaded."""
    fields = dict(_FIELDS)
    if format.sink is not None:
        fields["word"] = Field(fields["word"].shape, _WITH_SINK)
    return {
        "load": StreamPort(In, fields, item="word"),
        "loaded": SignalPort(
            Out, 1, "pulse: a load is in effect for rows whose last beat is taken from now on"
        ),
        "refused": SignalPort(
            Out,
            refusal(format),
            "pulse: a load was refused; a bit for each reason, see refused_bits",
        ),
        "busy": SignalPort(Out, 1, "no beats are taken yet, or a load is under way"),
    }
