"""What moves in and out of the sums of values by level."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from exaq.attention import AttentionConfig
from exaq_hdl.shell.ports import Field, Fields


def value_fields(config: AttentionConfig) -> Fields:
    """A beat in: what a unit of codes gives of ``lanes`` keys, and their values."""
    lanes = config.lanes
    codes = data.ArrayLayout(unsigned(config.softmax.bits), lanes)
    values = data.ArrayLayout(data.ArrayLayout(signed(config.value_width), config.head_size), lanes)
    return {
        "codes": Field(codes, "codes, that of the lane 0 lowest"),
        "live": Field(lanes, "lanes that take part"),
        "values": Field(
            values,
            f"values, signed, {config.head_size} elements for each lane, lane 0 and element 0 "
            "lowest",
        ),
        "last": Field(1, "last beat of a row"),
    }


def sum_fields(config: AttentionConfig) -> Fields:
    """What comes of a row besides."""
    return {"sum": Field(config.softmax.sum_bits, "sum of the row's exponentials")}


def output_fields(config: AttentionConfig, per_beat: int) -> Fields:
    """A beat out."""
    outputs = data.ArrayLayout(signed(config.output_width), per_beat)
    return {
        "outputs": Field(outputs, f"outputs, signed, {per_beat} elements, the first one lowest"),
        "last": Field(1, "last beat of a row"),
    }


def total_beat(config: AttentionConfig, per_beat: int) -> data.StructLayout:
    """Totals of ``per_beat`` dimensions, before they are divided, and whether they end a row."""
    width = config.softmax.sum_bits + config.value_width
    return data.StructLayout({"totals": data.ArrayLayout(unsigned(width), per_beat), "last": 1})
