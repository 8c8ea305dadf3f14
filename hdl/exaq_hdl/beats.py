"""What moves between the blocks in one cycle."""

from amaranth.hdl import Value, signed, unsigned
from amaranth.lib import data

from exaq import SoftmaxConfig


def _flags(config: SoftmaxConfig) -> dict:
    live = {"live": config.lanes} if config.masking else {}
    return live | {"tail": config.lanes, "last": 1}


def logit_beat(config: SoftmaxConfig) -> data.StructLayout:
    """Beat of the unit's input: signed logits, live bits (with masking), tail bits, last.

    Tail bit i says that lane i holds an element; it is looked at on a row's last beat only.
    """
    logits = data.ArrayLayout(signed(config.logit_width), config.lanes)
    return data.StructLayout({"logits": logits} | _flags(config))


def row_beat(config: SoftmaxConfig) -> data.StructLayout:
    """Beat in front of the quantizer.

    Logits in offset binary (0 is the lowest), 0 in lanes that are not live; tail bits are ones
    on all but the row's last beat; error goes with last.
    """
    logits = data.ArrayLayout(unsigned(config.logit_width), config.lanes)
    return data.StructLayout({"logits": logits} | _flags(config) | {"error": 1})


def code_beat(config: SoftmaxConfig) -> data.StructLayout:
    """Beat behind the quantizer: codes, 0 in lanes that are not live."""
    codes = data.ArrayLayout(unsigned(config.bits), config.lanes)
    return data.StructLayout({"codes": codes} | _flags(config) | {"error": 1})


def choice_layout(config: SoftmaxConfig) -> data.StructLayout:
    """Which probability a lane gives, or none, coded for the emitter's multiplexers.

    ``high`` is bit 1 of the code, ``upper`` what stands above it. Low bits 0 and 1 choose
    directly; 2 and 3 do with ``above`` set. ``above`` without ``high`` and ``low`` is zero.
    """
    upper = {"upper": config.bits - 2} if config.bits > 2 else {}
    return data.StructLayout({"low": 1, "above": 1, "high": 1} | upper)


def choice_beat(config: SoftmaxConfig) -> data.StructLayout:
    """Beat in front of the emitter."""
    choices = data.ArrayLayout(choice_layout(config), config.lanes)
    return data.StructLayout({"choices": choices, "tail": config.lanes, "last": 1, "error": 1})


def probability_beat(config: SoftmaxConfig) -> data.StructLayout:
    """Beat of the unit's output: probabilities, tail bits, last, error."""
    probabilities = data.ArrayLayout(unsigned(config.prob_bits), config.lanes)
    return data.StructLayout(
        {"probabilities": probabilities, "tail": config.lanes, "last": 1, "error": 1}
    )


def table_layout(config: SoftmaxConfig) -> data.ArrayLayout:
    """The 2**bits probabilities that a row can have, by code."""
    return data.ArrayLayout(unsigned(config.prob_bits), config.levels)


def live_lanes(config: SoftmaxConfig, beat) -> Value:
    """A bit per lane that is neither masked nor absent, of a beat inside the unit."""
    return beat.live if config.masking else beat.tail
