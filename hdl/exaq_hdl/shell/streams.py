"""What moves between the blocks of the shell in one cycle, and in and out of a unit."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, ShapeLike, Value, signed, unsigned
from amaranth.lib import data

from exaq import StreamFormat
from exaq_hdl.shell.ports import Field, Fields, layout


def context_fields(format: StreamFormat) -> Fields:
    """The row's context, where there are several."""
    meaning = "context of the row"
    return {"context": Field(format.context_bits, meaning)} if format.context_bits else {}


def window_fields(format: StreamFormat) -> Fields:
    """The row's window, where rows come with one."""
    return {
        name: Field(format.index_bits, f"{meaning}; with the first beat only")
        for name, meaning in (
            ("start", "index of the first element of the row's window"),
            ("stop", "index of the first element behind it"),
        )
        if format.window
    }


def logits_meaning(format: StreamFormat, placing: str) -> str:
    """What a port of logits holds; ``placing`` says where its lanes are."""
    masked = "; the lowest one masks its lane" if format.mask_value == "lowest" else ""
    floats = format.float_format
    kind = "signed" if floats is None else f"{floats.name} numbers"
    return f"logits, {kind}, {placing}{masked}"


def logit_fields(format: StreamFormat) -> Fields:
    """A beat of the unit's input.

    Tail bit i says that lane i holds an element; it and the context are looked at on a row's last
    beat only, the window on its first.
    """
    floats = format.float_format
    width = format.logit_width
    logits = data.ArrayLayout(signed(width) if floats is None else unsigned(width), format.lanes)
    live = {"live": Field(format.lanes, "bit i low masks lane i")} if format.masking else {}
    context = {
        name: Field(field.shape, f"{field.meaning}; the beat that closes it counts")
        for name, field in context_fields(format).items()
    }
    return (
        {"logits": Field(logits, logits_meaning(format, "lane 0 lowest"))}
        | live
        | window_fields(format)
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
        "error": Field(1, f"{row_error(format)}; with o_last only"),
    } | context_fields(format)


def row_error(format: StreamFormat) -> str:
    """What puts a row in error, in words."""
    beyond = ", or an element NaN or +inf" if format.float_format is not None else ""
    return f"the row was longer than max_row, or its context unknown{beyond}"


def code_fields(format: StreamFormat, bits: int) -> Fields:
    """A beat of the output of a unit that gives codes, each of ``bits`` bits."""
    codes = data.ArrayLayout(unsigned(bits), format.lanes)
    return {
        "codes": Field(codes, "codes, lane 0 lowest; 0 in lanes that are not live"),
        "live": Field(format.lanes, "lanes that are neither masked nor absent"),
        "tail": Field(format.lanes, "ones, but for absent lanes of a row's last beat"),
        "last": Field(1, "last beat of a row"),
    } | context_fields(format)


def row_fields(format: StreamFormat, *, sum_bits: int, levels: int) -> Fields:
    """What leaves for each row, in a unit with row results."""
    probabilities = data.ArrayLayout(unsigned(format.prob_bits), levels)
    table = {
        "probabilities": Field(probabilities, "probability of each code, that of code 0 lowest")
    }
    return (
        {
            "maximum": Field(signed(format.logit_width), "the row's maximum, as logits are"),
            "sum": Field(sum_bits, "sum of the row's exponentials"),
        }
        | (table if format.row_results == "table" else {})
        | context_fields(format)
        | {"error": Field(1, row_error(format))}
    )


def logit_of(format: StreamFormat, offset: Value) -> Value:
    """The logit that stands in offset binary inside the unit, or whose key does, as it goes in and
    out.
    """
    sign = ~offset[-1]
    if format.float_format is None:
        return Cat(offset[:-1], sign)
    return Cat(offset[:-1] ^ sign.replicate(len(offset) - 1), sign)


def logit_beat(format: StreamFormat) -> data.StructLayout:
    """Payload of ``logit_fields``."""
    return layout(logit_fields(format))


def probability_beat(format: StreamFormat) -> data.StructLayout:
    """Payload of ``probability_fields``."""
    return layout(probability_fields(format))


def row_flags(format: StreamFormat) -> dict[str, Any]:
    """What goes with a beat's elements inside the unit, from the receiver on.

    ``live``, where elements can be masked: neither masked nor absent, a bit a lane. ``tail``:
    present, a bit a lane, ones on all but the row's last beat. ``last``: the row's last beat;
    ``error`` goes with it.
    """
    live = {"live": format.lanes} if format.partial_rows else {}
    return live | {"tail": format.lanes, "last": 1, "error": 1}


def row_beat(format: StreamFormat) -> data.StructLayout:
    """Beat in front of the kernel.

    Logits in offset binary (0 is the lowest), 0 in lanes that are not live. Of floating-point
    numbers their keys in offset binary, and that of -inf in lanes that are not live.
    """
    logits = data.ArrayLayout(unsigned(format.logit_width), format.lanes)
    return data.StructLayout({"logits": logits} | row_flags(format))


def live_lanes(format: StreamFormat, beat: Any) -> Any:
    """A bit a lane that is neither masked nor absent, of a beat with ``row_flags``."""
    return beat.live if format.partial_rows else beat.tail


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
