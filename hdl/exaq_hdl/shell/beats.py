"""What moves between the blocks in one cycle."""

from amaranth.hdl import Value, signed, unsigned
from amaranth.lib import data

from exaq import SoftmaxConfig


def _flags(config: SoftmaxConfig) -> dict:
    live = {"live": config.lanes} if config.masking else {}
    return live | {"tail": config.lanes, "last": 1}


def _context(config: SoftmaxConfig) -> dict:
    return {"context": config.context_bits} if config.context_bits else {}


def logit_beat(config: SoftmaxConfig) -> data.StructLayout:
    """Beat of the unit's input: signed logits, live bits (with masking), tail bits, last.

    Tail bit i says that lane i holds an element; it and the context, where there are several,
    are looked at on a row's last beat only.
    """
    logits = data.ArrayLayout(signed(config.logit_width), config.lanes)
    return data.StructLayout({"logits": logits} | _flags(config) | _context(config))


def row_beat(config: SoftmaxConfig) -> data.StructLayout:
    """Beat in front of the quantizer.

    Logits in offset binary (0 is the lowest), 0 in lanes that are not live; tail bits are ones
    on all but the row's last beat; error goes with last.
    """
    logits = data.ArrayLayout(unsigned(config.logit_width), config.lanes)
    return data.StructLayout({"logits": logits} | _flags(config) | {"error": 1})


def row_tables(config: SoftmaxConfig) -> dict:
    """Fields that say, where there are contexts, which tables a row goes by.

    ``bank`` is the place of the tables, ``context`` the row's number for them.
    """
    return ({"bank": config.bank_bits} if config.contexts else {}) | _context(config)


def code_beat(config: SoftmaxConfig) -> data.StructLayout:
    """Beat behind the quantizer: codes, 0 in lanes that are not live."""
    codes = data.ArrayLayout(unsigned(config.bits), config.lanes)
    return data.StructLayout({"codes": codes} | _flags(config) | {"error": 1} | row_tables(config))


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
    """Beat of the unit's output: probabilities, tail bits, last, error, the row's context."""
    probabilities = data.ArrayLayout(unsigned(config.prob_bits), config.lanes)
    return data.StructLayout(
        {"probabilities": probabilities, "tail": config.lanes, "last": 1, "error": 1}
        | _context(config)
    )


def of_row(config: SoftmaxConfig, name: str, shape):
    """Shape of a row's item ``name``, with the fields of ``row_tables`` where there are any."""
    fields = row_tables(config)
    return data.StructLayout({name: shape} | fields) if fields else shape


def item(payload, name: str):
    """The value of item ``name`` in a payload of shape ``of_row``."""
    struct = isinstance(payload, data.View) and isinstance(payload.shape(), data.StructLayout)
    return payload[name] if struct else payload


def table_layout(config: SoftmaxConfig):
    """The 2**bits probabilities that a row can have, by code, and the row's context."""
    table = data.ArrayLayout(unsigned(config.prob_bits), config.levels)
    context = _context(config)
    return data.StructLayout({"table": table} | context) if context else table


def load_word(config: SoftmaxConfig) -> data.StructLayout:
    """Word of a table load: ``first`` comes with the context number.

    2**bits - 1 thresholds follow, lowest first, then 2**bits exponentials, that of code 0 first.
    """
    return data.StructLayout({"first": 1, "word": signed(32)})


def checked_word(config: SoftmaxConfig) -> data.StructLayout:
    """A load_word cut to what a legal one needs; ``fits`` where nothing was cut off."""
    width = max(config.logit_width, config.exp_bits, config.context_bits) + 1
    return data.StructLayout({"first": 1, "fits": 1, "word": signed(width)})


def refusal(config: SoftmaxConfig) -> data.StructLayout:
    """Why a table load was refused; no bit where none was.

    ``length``: words are missing or too many; ``context``: there is no such context;
    ``thresholds``: they descend or leave -2**logit_width .. 0; ``levels``: an exponential is
    negative or wider than exp_bits, or the last is 0.
    """
    return data.StructLayout({"length": 1, "context": 1, "thresholds": 1, "levels": 1})


def events(config: SoftmaxConfig) -> data.StructLayout:
    """What happened in a cycle, for counters.

    A row left, a beat left; a beat was offered to the unit, or by it, and not taken; a row was
    longer than max_row, or had no live element.
    """
    return data.StructLayout(
        {
            "row": 1,
            "beat": 1,
            "input_stalled": 1,
            "output_stalled": 1,
            "long_row": 1,
            "masked_row": 1,
        }
    )


def threshold_word(config: SoftmaxConfig) -> data.StructLayout:
    """A threshold on its way into a bank: the one that codes from ``code`` on reach."""
    threshold = signed(config.logit_width + 1)
    return data.StructLayout(
        {"bank": config.bank_bits, "code": config.bits, "threshold": threshold}
    )


def level_word(config: SoftmaxConfig) -> data.StructLayout:
    """The exponential of a code on its way into a bank."""
    return data.StructLayout(
        {"bank": config.bank_bits, "code": config.bits, "exponential": config.exp_bits}
    )


def sum_word(config: SoftmaxConfig) -> data.StructLayout:
    """An entry of LUT_sum on its way into a bank."""
    codes = config.bits * config.group
    return data.StructLayout(
        {"bank": config.bank_bits, "codes": codes, "total": config.group_sum_bits}
    )


def excess_word(config: SoftmaxConfig) -> data.StructLayout:
    """``lanes`` times E_0 on its way into a bank: what so many idle lanes add to LUT_sum."""
    return data.StructLayout(
        {
            "bank": config.bank_bits,
            "lanes": range(config.lanes + 1),
            "excess": config.exp_bits + (config.lanes - 1).bit_length(),
        }
    )


def live_lanes(config: SoftmaxConfig, beat) -> Value:
    """A bit per lane that is neither masked nor absent, of a beat inside the unit."""
    return beat.live if config.masking else beat.tail
