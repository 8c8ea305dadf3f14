"""Products of a head's q and keys, and their sums, which may lack ones that are added later."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

from exaq.attention import AttentionConfig
from exaq.attention.attention_config import QUERY_WIDTH


class Term(NamedTuple):
    """A summand: the integer ``value``, and one more where ``carry`` is set, if there is any.

    Adders have room for a carry anyway: it spares the adder that would complete ``value`` alone.
    """

    value: Any
    carry: Any = None


class Products(ABC):
    """How the products of q and keys are made.

    Parameters
    ----------
    config
        Parameters of the attention head.

    Members
    -------
    width : bits of a product
    latency : cycles from q and keys to their products, which stand in registers or follow from one
        by a gate a bit
    carries : whether products have carries
    """

    latency: int
    carries = False

    def __init__(self, config: AttentionConfig):
        self._config = config
        self.width = product_width(config)

    def of(self, m: Module, q: Sequence[Any], keys: Sequence[Sequence[Any]]) -> list[list[Term]]:
        """For each of ``keys`` a list of its elements' products with those of ``q``, ``latency``
        cycles later."""
        return [
            [
                self.product(m, *two, f"lane{lane}_{k}")
                for k, two in enumerate(zip(q, key, strict=True))
            ]
            for lane, key in enumerate(keys)
        ]

    @abstractmethod
    def product(self, m: Module, q: Any, element: Any, name: str) -> Term:
        """One product, ``latency`` cycles later; ``name`` is what its registers are called."""


def product_width(config: AttentionConfig) -> int:
    """Bits of the product of an element of q and one of a key."""
    most = config.key_format.most << QUERY_WIDTH - 1
    return most.bit_length() + 1


def key_integers(config: AttentionConfig) -> list[int]:
    """What each code of a key's element stands for; its bits as a signed integer where there is no
    such code, which costs the least."""
    half = 1 << config.key_format.width - 1
    given = config.key_format.by_code or [None] * (2 * half)
    return [
        (code ^ half) - half if integer is None else integer for code, integer in enumerate(given)
    ]


def integers_width(integers: Sequence[int]) -> int:
    """Bits of a signed integer that can be each of ``integers``."""
    return max(each if each >= 0 else ~each for each in integers).bit_length() + 1


def registered(m: Module, value: Any, name: str, bits: int | None = None) -> Any:
    """``value`` in a register, as a signed integer of ``bits`` bits, or as it is."""
    shape = value.shape() if bits is None else signed(bits)
    register = Signal(shape, name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def looked_up(m: Module, code: Value, integers: Sequence[int], bits: int, name: str) -> Any:
    """What ``code`` stands for, a signed integer of ``bits`` bits."""
    found = Signal(signed(bits), name=name)
    for place in range(bits):
        # All codes' bits of one place; as a case for each code the text would be ten times as long.
        column = sum((integer >> place & 1) << k for k, integer in enumerate(integers))
        m.d.comb += found[place].eq(Const(column, len(integers)).bit_select(code, 1))
    return found


def above(low: Any, high: Any, places: int) -> Any:
    """low + high * 2**places: the low places of ``low`` meet nothing."""
    return Cat(low[:places], low[places:].as_signed() + high).as_signed()


def joined(m: Module, terms: Sequence[Term], name: str) -> Term:
    """Two terms added up, or one as it is, in registers.

    Of two carries the first is added, and the other one goes on with the sum.
    """
    if len(terms) == 1:
        (term,) = terms
        carry = None if term.carry is None else registered(m, term.carry, f"{name}_carry")
        return Term(registered(m, term.value, name), carry)
    first, second = terms
    if first.carry is None:
        return Term(registered(m, first.value + second.value, name))
    # The place below the lowest makes the carry.
    added = Cat(first.carry, first.value).as_signed() + Cat(first.carry, second.value).as_signed()
    return Term(
        registered(m, added[1:].as_signed(), name), registered(m, second.carry, f"{name}_carry")
    )
