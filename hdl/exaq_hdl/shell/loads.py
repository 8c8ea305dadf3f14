"""Loads: how new tables get into a unit with contexts, and how it answers."""

from amaranth.hdl import signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from exaq_hdl.shell.ports import Field, Ports, SignalPort, StreamPort, layout

_FIELDS = {
    "first": Field(1, "the word begins a load: it is a context number"),
    "word": Field(signed(32), "context number, threshold or exponential; signed"),
}

#: Word of a load: ``first`` comes with the context number; the kernel's words follow, of EXAQ
#: 2**bits - 1 thresholds, lowest first, then 2**bits exponentials, that of code 0 first.
LOAD_WORD = layout(_FIELDS)

#: Why a load was refused; no bit where none was. ``length``: words are missing or too many;
#: ``context``: there is no such context; ``thresholds``: they descend or leave
#: -2**logit_width .. 0; ``exponentials``: one is negative or wider than exp_bits, or the last
#: is 0.
REFUSAL = data.StructLayout({"length": 1, "context": 1, "thresholds": 1, "exponentials": 1})

#: Ports of a unit whose tables can be loaded.
LOAD_PORTS: Ports = {
    "load": StreamPort(In, _FIELDS, item="word"),
    "loaded": SignalPort(
        Out, 1, "pulse: a load is in effect for rows whose last beat is taken from now on"
    ),
    "refused": SignalPort(
        Out, REFUSAL, "pulse: a load was refused; a bit for each reason, see refused_bits"
    ),
    "busy": SignalPort(Out, 1, "no beats are taken yet, or a load is under way"),
}
