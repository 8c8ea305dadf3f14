"""What moves in and out of the sums of values, by level or weighted."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from exaq.attention import AttentionConfig
from exaq_hdl.shell.ports import Field, Fields
from exaq_hdl.shell.streams import code_fields, probability_fields


def softmax_fields(config: AttentionConfig) -> Fields:
    """A beat that the softmax of a head gives."""
    format = config.softmax.format
    if config.by_level:
        return code_fields(format, config.softmax.bits)
    return probability_fields(format)


def value_fields(config: AttentionConfig) -> Fields:
    """A beat in: what a unit of codes, or of probabilities, gives of ``lanes`` keys, and their
    values.
    """
    lanes = config.lanes
    values = data.ArrayLayout(data.ArrayLayout(signed(config.value_width), config.head_size), lanes)
    return _key_fields(config) | {
        "values": Field(
            values,
            f"values, signed, {config.head_size} elements for each lane, lane 0 and element 0 "
            "lowest",
        ),
        "last": Field(1, "last beat of a row"),
    }


def _key_fields(config: AttentionConfig) -> Fields:
    lanes = config.lanes
    if not config.by_level:
        weights = data.ArrayLayout(unsigned(config.softmax.format.prob_bits), lanes)
        return {"probabilities": Field(weights, "probabilities, that of the lane 0 lowest")}
    codes = data.ArrayLayout(unsigned(config.softmax.bits), lanes)
    return {
        "codes": Field(codes, "codes, that of the lane 0 lowest"),
        "live": Field(lanes, "lanes that take part"),
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
