"""Streams of rows between widths, by LiteX's Converter."""

from litex.gen import LiteXModule
from litex.soc.interconnect.stream import Converter
from migen import Cat, Replicate

from exaq_litex.streams import stream


class WidthAdapter(LiteXModule):
    """Makes words of a row wider or narrower by a whole factor, with what lies beside them.

    LiteX's own adapters carry no tkeep rightly: those that widen leave in a row's last word what
    was in the word before. Here it is 0. A row that is made narrower may end in words without a
    byte. Id and user of a wide word are those of its first narrow one.

    Parameters
    ----------
    width_from, width_to
        Bits of data.
    others
        Widths of the other fields, id and user, if there are some.

    Members
    -------
    sink, source : Endpoint of data, keep and the others
    """

    def __init__(self, width_from: int, width_to: int, **others: int):
        self.sink = sink = stream(_fields(width_from, others))
        self.source = source = stream(_fields(width_to, others))
        # A part is a narrow word with its keep. The others, where there are some, lie in each.
        narrow = min(width_from, width_to)
        part = narrow + narrow // 8 + sum(others.values())
        parts_in, parts_out = width_from // narrow, width_to // narrow
        self.converter = converter = Converter(
            part * parts_in, part * parts_out, report_valid_token_count=True
        )
        octets = narrow // 8
        self.comb += [
            sink.connect(converter.sink, keep={"valid", "ready", "last"}),
            converter.source.connect(source, keep={"valid", "ready", "last"}),
            *(
                converter.sink.data[place * part : (place + 1) * part].eq(
                    Cat(
                        sink.data[place * narrow : (place + 1) * narrow],
                        sink.keep[place * octets : (place + 1) * octets],
                        *(getattr(sink, name) for name in others),
                    )
                )
                for place in range(parts_in)
            ),
        ]
        count = converter.source.valid_token_count
        for place in range(parts_out):
            bits = converter.source.data[place * part : (place + 1) * part]
            there = (count > place) if parts_out > 1 else 1
            self.comb += [
                source.data[place * narrow : (place + 1) * narrow].eq(bits[:narrow]),
                source.keep[place * octets : (place + 1) * octets].eq(
                    bits[narrow : narrow + octets] & Replicate(there, octets)
                ),
            ]
        first = converter.source.data[narrow + octets : part]
        if others:
            self.comb += Cat(getattr(source, name) for name in others).eq(first)


def _fields(width: int, others: dict[str, int]) -> dict[str, int]:
    return {"data": width, "keep": width // 8, **others}
