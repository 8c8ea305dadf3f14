"""The register map of a unit with contexts: the one table that the hardware, docs/registers.md
and the C header are made from.
"""

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from exaq import SoftmaxConfig, StreamFormat
from exaq.release import release

#: Width of a register, and of the address of a byte. The registers begin a page of their own.
WORD_BITS, ADDRESS_BITS = 32, 12
#: What ID reads: the bytes "EXAQ", lowest first.
MAGIC = int.from_bytes(b"EXAQ", "little")


class Access(Enum):
    """What the bus can do with a register. It reads as 0 where it cannot be read; any other
    write is answered with SLVERR.
    """

    CONSTANT = "read"
    STATUS = "read; write 1 to clear"
    LOAD = "write"
    COUNTER = "read; any write clears"

    @property
    def readable(self) -> bool:
        return self is not Access.LOAD

    @property
    def writable(self) -> bool:
        return self is not Access.CONSTANT


@dataclass(frozen=True, kw_only=True)
class Field:
    """Bits ``low`` to ``low + width - 1`` of a register. ``sticky``: set until cleared."""

    name: str
    low: int
    width: int
    meaning: str
    sticky: bool = False

    @property
    def mask(self) -> int:
        """Ones in the field's place."""
        return (1 << self.width) - 1 << self.low


@dataclass(frozen=True, kw_only=True)
class Register:
    """One word. ``offset`` counts bytes; ``reset`` is None where the build decides, or
    nothing can be read.

    ``event`` of a counter is the member of ``exaq_hdl.shell.streams.events`` that it counts.
    """

    name: str
    offset: int
    access: Access
    meaning: str
    reset: int | None = 0
    fields: tuple[Field, ...] = ()
    event: str = ""

    @property
    def index(self) -> int:
        """The address in words."""
        return self.offset // (WORD_BITS // 8)

    def field(self, name: str) -> Field:
        """The field called ``name``."""
        return next(field for field in self.fields if field.name == name)

    def mask(self, *, sticky: bool) -> int:
        """Ones in the places of all fields that are ``sticky``, or that are not."""
        return sum(field.mask for field in self.fields if field.sticky == sticky)


def _fields(*rows: tuple[str, int, int, str], sticky: bool = False) -> tuple[Field, ...]:
    return tuple(
        Field(name=name, low=low, width=width, meaning=meaning, sticky=sticky)
        for name, low, width, meaning in rows
    )


def _constant(name: str, offset: int, meaning: str, *rows: tuple[str, int, int, str]) -> Register:
    return Register(
        name=name,
        offset=offset,
        access=Access.CONSTANT,
        reset=None,
        meaning=meaning,
        fields=_fields(*rows),
    )


def _load(name: str, offset: int, meaning: str, row: tuple[str, int, int, str]) -> Register:
    return Register(
        name=name,
        offset=offset,
        access=Access.LOAD,
        reset=None,
        meaning=meaning,
        fields=_fields(row),
    )


def _counter(name: str, offset: int, event: str, meaning: str) -> Register:
    return Register(
        name=name,
        offset=offset,
        access=Access.COUNTER,
        event=event,
        meaning=meaning,
        fields=_fields(("count", 0, WORD_BITS, "modulo 2^32")),
    )


# Fields of constants are named as in SoftmaxConfig, or in `constants`.
_ALL = (
    _constant("ID", 0x00, "what answers here", ("magic", 0, 32, "the bytes `EXAQ`, lowest first")),
    _constant(
        "VERSION",
        0x04,
        "version of the generator",
        ("patch", 0, 8, "third number"),
        ("minor", 8, 8, "second number"),
        ("major", 16, 8, "first number"),
    ),
    _constant(
        "BUILD",
        0x08,
        "tells configurations apart",
        ("crc", 0, 32, "CRC-32 of the configuration as JSON, keys sorted, no spaces"),
    ),
    _constant(
        "CODES",
        0x0C,
        "shape of a beat",
        ("bits", 0, 8, "width M of a code; a context has 2^M - 1 thresholds, 2^M exponentials"),
        ("lanes", 8, 8, "elements of a beat"),
        ("group", 16, 8, "codes that one LUT_sum lookup adds up"),
        ("masking", 24, 1, "1: elements can be masked"),
        ("window", 25, 1, "1: rows come with windows"),
        ("mask_value", 26, 1, "1: the lowest logit means masked"),
        ("sinks", 27, 1, "1: rows have sinks; a context has one, the last word of a load"),
    ),
    _constant(
        "FORMATS",
        0x10,
        "formats of numbers",
        ("logit_width", 0, 8, "bits of a logit, signed"),
        ("prob_bits", 8, 8, "bits of a probability, all of them fraction"),
        ("exp_frac", 16, 8, "fraction bits of an exponential"),
    ),
    _constant("MAX_ROW", 0x14, "longest row", ("max_row", 0, 32, "elements")),
    _constant(
        "FULL_RATE_ROW",
        0x18,
        "shortest row that streams without a bubble",
        ("full_rate_row", 0, 32, "elements; all ones where there are more"),
    ),
    _constant("CONTEXTS", 0x1C, "sets of tables", ("contexts", 0, 32, "their number")),
    _constant(
        "LATENCY",
        0x20,
        "cycles from a row's last beat in to its first beat out",
        ("latency", 0, 32, "to be added to the beats of the row, unless the unit gives codes"),
    ),
    Register(
        name="STATUS",
        offset=0x30,
        access=Access.STATUS,
        reset=1,
        meaning="state of the unit, and what has happened since it was cleared",
        fields=(
            *_fields(
                ("busy", 0, 1, "a load, or the filling after reset, is under way"),
                ("ready", 1, 1, "LOAD_BEGIN or LOAD_WORD may be written"),
            ),
            *_fields(
                ("done", 8, 1, "a load took effect"),
                ("refused", 9, 1, "a load was refused, for one of the reasons that follow"),
                ("length", 10, 1, "words were missing or too many"),
                ("context", 11, 1, "there is no such context"),
                ("thresholds", 12, 1, "thresholds descend, or leave -2^logit_width .. 0"),
                (
                    "exponentials",
                    13,
                    1,
                    "an exponential leaves 0 .. 2^(exp_frac + 1) - 1, or the last is 0",
                ),
                ("overrun", 14, 1, "a load word was written while `ready` was 0, and lost"),
                ("sink", 15, 1, "of units with sinks: the sink is no logit that takes part"),
                sticky=True,
            ),
        ),
    ),
    _load("LOAD_BEGIN", 0x34, "begins a load", ("context", 0, 32, "number of the context")),
    _load(
        "LOAD_WORD",
        0x38,
        "goes on with a load",
        (
            "word",
            0,
            32,
            "next threshold, signed, lowest first; then next exponential, E_0 first; then, of "
            "units with sinks, the sink, signed",
        ),
    ),
    _counter("ROWS", 0x40, "row", "rows that left"),
    _counter("BEATS", 0x44, "beat", "beats that left"),
    _counter("INPUT_STALLED", 0x48, "input_stalled", "cycles with a beat offered and not taken"),
    _counter("OUTPUT_STALLED", 0x4C, "output_stalled", "cycles with a beat to give and no taker"),
    _counter("LONG_ROWS", 0x50, "long_row", "rows longer than max_row"),
    _counter("MASKED_ROWS", 0x54, "masked_row", "rows without a live element"),
)

#: Every register by its name, in the order of addresses.
REGISTERS = {register.name: register for register in _ALL}
#: The counters, in the order of addresses.
COUNTERS = tuple(register for register in _ALL if register.access is Access.COUNTER)


def status_fields(format: StreamFormat) -> tuple[Field, ...]:
    """The fields of STATUS that a unit of ``format`` has; the others read as 0."""
    return tuple(
        field
        for field in REGISTERS["STATUS"].fields
        if field.name != "sink" or format.sink is not None
    )


def registers(format: StreamFormat) -> tuple[Register, ...]:
    """The registers that a unit of ``format`` has, in the order of addresses."""
    status = replace(REGISTERS["STATUS"], fields=status_fields(format))
    return tuple((REGISTERS | {"STATUS": status}).values())


def constants(config: SoftmaxConfig, latency: int | None = None) -> dict[str, dict[str, int]]:
    """What the constant registers of a unit read, by register and field.

    Without ``latency``, the unit's attribute of that name, its register is left out.
    """
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", release())
    assert numbers
    special: dict[str, Any] = {"magic": MAGIC, "crc": config.build_crc, "latency": latency}
    special["mask_value"] = config.format.masked_logit is not None
    special["sinks"] = bool(config.sinks)
    special |= zip(("major", "minor", "patch"), map(int, numbers.groups()), strict=True)

    def value(field: Field) -> int:
        found = special[field.name] if field.name in special else getattr(config, field.name)
        return min(int(found), (1 << field.width) - 1)

    return {
        name: {field.name: value(field) for field in register.fields}
        for name, register in REGISTERS.items()
        if register.access is Access.CONSTANT and (name != "LATENCY" or latency is not None)
    }


def constant_words(config: SoftmaxConfig, latency: int) -> dict[str, int]:
    """What the constant registers of a unit read, by register."""
    return {
        name: sum(value << REGISTERS[name].field(field).low for field, value in values.items())
        for name, values in constants(config, latency).items()
    }
