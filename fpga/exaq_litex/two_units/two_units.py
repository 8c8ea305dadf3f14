"""An integrator's design with two units: probabilities at 3 bits, and codes at 2 bits with sums.

           stream │ sys                                          │ stream
    logits ─── crossing ── adapter ── unit ── adapter ── crossing ─── probabilities
                  scores ──────────── unit ──────────── codes, sums
                  bus ── interconnect ── registers of both

Interconnect, crossing and converter are LiteX's.
"""

from typing import Any

from litex.gen import LiteXModule
from litex.soc.interconnect.axi import AXILiteInterconnectShared, AXILiteInterface
from litex.soc.interconnect.stream import ClockDomainCrossing

from exaq import SoftmaxConfig
from exaq_litex import ExaqSoftmax
from exaq_litex.two_units.width_adapter import WidthAdapter

PROBABILITIES = SoftmaxConfig(bits=3, lanes=4, max_row=32, contexts=2, masking=False)
CODES = SoftmaxConfig(
    bits=2, lanes=8, max_row=64, contexts=1, masking=False, output="codes", row_results="sum"
)
#: Bits of a word of logits and of probabilities outside.
OUTSIDE = 16
#: Bytes of registers of each unit; those of the one that gives codes come second.
REGISTERS = 0x1000


class TwoUnits(LiteXModule):
    """Both units; what they are made of stands above.

    Members
    -------
    logits, probabilities : Endpoint of the first unit in the clock domain ``stream``, words of
        OUTSIDE bits
    scores, codes, sums : Endpoint of the second unit, which are its sink, source and row
    bus : AXILiteInterface, registers of the first unit, then of the second
    """

    def __init__(self, platform: Any):
        self.first = first = ExaqSoftmax(platform, PROBABILITIES, name="exaq_probabilities")
        self.second = second = ExaqSoftmax(platform, CODES, name="exaq_codes")

        number = PROBABILITIES.format.context_bits
        self.widen = widen = WidthAdapter(OUTSIDE, len(first.sink.data), id=number)
        self.narrow = narrow = WidthAdapter(
            len(first.source.data), OUTSIDE, user=len(first.source.user), id=number
        )
        self.arrive = arrive = ClockDomainCrossing(widen.sink.description, "stream", "sys")
        self.leave = leave = ClockDomainCrossing(narrow.source.description, "sys", "stream")
        self.logits, self.probabilities = arrive.sink, leave.source
        self.scores, self.codes, self.sums = second.sink, second.source, second.row
        self.comb += [
            arrive.source.connect(widen.sink),
            widen.source.connect(first.sink),
            first.source.connect(narrow.sink),
            narrow.source.connect(leave.sink),
        ]

        self.bus = AXILiteInterface()
        word_bits = (REGISTERS // 4).bit_length() - 1
        self.interconnect = AXILiteInterconnectShared(
            [self.bus],
            [
                (lambda word: word[word_bits] == 0, first.bus),
                (lambda word: word[word_bits] == 1, second.bus),
            ],
        )
