"""What moves between the blocks of the shell in one cycle, and in and out of a unit."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import ShapeLike, signed, unsigned
from amaranth.lib import data

from exaq import StreamFormat
from exaq_hdl.shell.ports import Field, Fields, layout


def context_fields(format: StreamFormat) -> Fields:
    """The row's context, where there are several."""
    meaning = "context of the row"
    return {"context": Field(format.context_bits, meaning)} if format.context_bits else {}


def logit_fields(format: StreamFormat) -> Fields:
    """A beat of the unit's input.

    Tail bit i says that lane i holds an element; it and the context are looked at on a row's last
    beat only.
    """
    logits = data.ArrayLayout(signed(format.logit_width), format.lanes)
    live = {"live": Field(format.lanes, "bit i low masks lane i")} if format.masking else {}
    context = {
        name: Field(field.shape, f"{field.meaning}; the beat that closes it counts")
        for name, field in context_fields(format).items()
    }
    return (
        {"logits": Field(logits, "logits, signed, lane 0 lowest")}
        | live
        | {
            "tail": Field(format.lanes, "lanes that hold an element; with i_last only"),
            "last": Field(1, "last beat of a row"),
        }
        | context
    )


def probability_fields(format: StreamFormat) -> Fields:
    """A beat of the unit's output."""
    probabilities = data.ArrayLayout(unsigned(format.prob_bits), format.lanes)
    return {
        "probabilities": Field(probabilities, "probabilities, unsigned, lane 0 lowest"),
        "tail": Field(format.lanes, "ones, but for absent lanes of a row's last beat"),
        "last": Field(1, "last beat of a row"),
        "error": Field(
            1, "the row was longer than max_row, or its context unknown; with o_last only"
        ),
    } | context_fields(format)


def logit_beat(format: StreamFormat) -> data.StructLayout:
    """Payload of ``logit_fields``."""
    return layout(logit_fields(format))


def probability_beat(format: StreamFormat) -> data.StructLayout:
    """Payload of ``probability_fields``."""
    return layout(probability_fields(format))


def offset_binary(format: StreamFormat, logit: int) -> int:
    """An integer logit, or a key, as it is inside the unit: of the lowest there is, 0."""
    return logit + (1 << format.logit_width - 1)


def row_flags(format: StreamFormat) -> dict[str, Any]:
    """What goes with a beat's elements inside the unit, from the receiver on.

    ``live``, with masking: neither masked nor absent, a bit a lane. ``tail``: present, a bit a
    lane, ones on all but the row's last beat. ``last``: the row's last beat; ``error`` goes with
    it.
    """
    live = {"live": format.lanes} if format.masking else {}
    return live | {"tail": format.lanes, "last": 1, "error": 1}


def row_beat(format: StreamFormat) -> data.StructLayout:
    """Beat in front of the kernel.

    Logits in offset binary (0 is the lowest), 0 in lanes that are not live.
    """
    logits = data.ArrayLayout(unsigned(format.logit_width), format.lanes)
    return data.StructLayout({"logits": logits} | row_flags(format))


def live_lanes(format: StreamFormat, beat: Any) -> Any:
    """A bit a lane that is neither masked nor absent, of a beat with ``row_flags``."""
    return beat.live if format.masking else beat.tail


def with_fields(name: str, shape: ShapeLike, fields: Mapping[str, Any]) -> ShapeLike:
    """Shape of an item ``name`` with further ``fields``; the item's own where there are none."""
    return data.StructLayout({name: shape, **fields}) if fields else shape


def item(payload: Any, name: str) -> Any:
    """The value of item ``name`` in a payload of shape ``with_fields``."""
    struct = isinstance(payload, data.View) and isinstance(payload.shape(), data.StructLayout)
    return payload[name] if struct else payload


def events(format: StreamFormat) -> data.StructLayout:
    """What happened in a cycle, for counters.

    A row left, a beat left; a beat was offered to the unit, or by it, and not taken; a row was
    longer than max_row, or had no live element.
    """
    names = ("row", "beat", "input_stalled", "output_stalled", "long_row", "masked_row")
    return data.StructLayout(dict.fromkeys(names, 1))
