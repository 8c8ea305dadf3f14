"""Dot products of a row of q with keys of 4 or 8 bits."""

from typing import Any

from amaranth.hdl import Module, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from exaq.attention import AttentionConfig
from exaq.attention.attention_config import QUERY_WIDTH
from exaq.scalars import choice
from exaq_hdl.attention.adder_products import IntegerProducts, SizeProducts
from exaq_hdl.attention.multiplier_products import PairedProducts, SingleProducts
from exaq_hdl.attention.products import Products, Term, joined, registered
from exaq_hdl.parts.arithmetic import tree_depth
from exaq_hdl.parts.assembly import late
from exaq_hdl.parts.component import Component

#: What products are made of: gates and adders, or multipliers, which an FPGA has as DSP blocks.
MULTIPLIERS = ("lut", "dsp")


class DintDot(Component):
    """Dot products of a row of q with ``lanes`` keys, exact, as ``exaq.attention.scores`` gives.

    Latency ``latency`` cycles; throughput 1 beat per cycle. A free-running pipeline: nothing
    stalls, nothing says whether a beat is there, and none of its registers has a reset. What goes
    with a beat travels beside it, as many cycles late. Keys have no code that their format lacks.

    Every sum stands in a register. A product may lack 1, and its dot product then has an adder
    more behind the tree; all lanes have the same latency.

    Parameters
    ----------
    config
        Parameters of the attention head.
    multipliers
        ``"lut"``: products of gates and adders. ``"dsp"``: of multipliers, one for two products
        with keys of 4 bits, those of two lanes with one element of q.

    Members
    -------
    q : array of head_size signed(8), in; the row that this cycle's ``keys`` meet
    keys : array of lanes x head_size elements of ``key_format.width`` bits, in; lane 0 lowest, and
        in it element 0
    scores : array of lanes x signed(score_width), out, lane 0 lowest
    """

    def __init__(self, config: AttentionConfig, *, multipliers: str = "lut"):
        if not isinstance(config, AttentionConfig):
            raise TypeError(f"config must be an exaq.attention.AttentionConfig, not {config!r}")
        self.config = config
        self._products = _products(config, choice("multipliers", multipliers, MULTIPLIERS))
        self._depth = tree_depth(config.head_size)
        self.latency = self._products.latency + self._depth + self._products.carries
        key = data.ArrayLayout(config.key_format.width, config.head_size)
        super().__init__(
            {
                "q": In(data.ArrayLayout(signed(QUERY_WIDTH), config.head_size)),
                "keys": In(data.ArrayLayout(key, config.lanes)),
                "scores": Out(data.ArrayLayout(signed(config.score_width), config.lanes)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        q = [self.q[k] for k in range(self.config.head_size)]
        keys = [[self.keys[lane][k] for k in range(len(q))] for lane in range(self.config.lanes)]
        for lane, terms in enumerate(self._products.of(m, q, keys)):
            m.d.comb += self.scores[lane].eq(self._sum(m, terms, f"lane{lane}"))
        return m

    def _sum(self, m: Module, terms: list[Term], name: str) -> Value:
        for level in range(self._depth):
            pairs = [terms[k : k + 2] for k in range(0, len(terms), 2)]
            terms = [joined(m, pair, f"{name}_level{level}_{k}") for k, pair in enumerate(pairs)]
        ((value, carry),) = terms
        if carry is not None:
            return registered(m, value + carry, f"{name}_complete")
        return late(m, value, int(self._products.carries), f"{name}_sum")


def _products(config: AttentionConfig, multipliers: str) -> Products:
    if multipliers == "dsp":
        return SingleProducts(config) if config.keys == "int8" else PairedProducts(config)
    return SizeProducts(config) if config.keys == "dint4" else IntegerProducts(config)
