"""What the block of registers keeps to on its AXI4-Lite port: ``register_rules``."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from formal_engines import Claim
from formal_text import Dut, Opened

#: Cycles that a request waits at most, where answers are taken at once: one for a counter waits
#: until that comes by in its turn.
PATIENCE = 8

# The channels, each with what it carries.
_REQUESTS: dict[str, list[str]] = {
    "aw": ["addr", "prot"],
    "w": ["data", "strb"],
    "ar": ["addr", "prot"],
}
_ANSWERS: dict[str, list[str]] = {"b": ["resp"], "r": ["data", "resp"]}


def register_rules(design: Opened, *, patience: int = PATIENCE) -> Claim:
    """Every request is answered once, and no other; answers wait until they are taken.

    A master that keeps what it offers waits at most ``patience`` cycles, if it takes answers at
    once. Address and word of a write are taken in one cycle.
    """
    m = Module()
    dut = Dut(m, design)
    claim = Claim(m, opened=design)

    def port(name: str) -> Any:
        return dut[f"s_axi_{name}"]

    for channel, payload in _REQUESTS.items():
        fields = Cat(port(channel + name) for name in payload)
        claim.given(claim.held(port(f"{channel}valid"), port(f"{channel}ready"), fields, channel))
    for answer, payload in _ANSWERS.items():
        fields = Cat(port(answer + name) for name in payload)
        claim.always(claim.held(port(f"{answer}valid"), port(f"{answer}ready"), fields, answer))

    claim.always(port("awready") == port("wready"))
    claim.always(~port("awready") | (port("awvalid") & port("wvalid")))
    for taken, answer in ((port("awready"), "b"), (port("arvalid") & port("arready"), "r")):
        open_ = Signal(2, name=f"{answer}_open")
        answered = port(f"{answer}valid") & port(f"{answer}ready")
        m.d.sync += open_.eq(open_ + taken - answered)
        claim.always(open_ <= 1)
        claim.always(port(f"{answer}valid") == (open_ != 0))

    for offered, ready, answer in (
        (port("awvalid") & port("wvalid"), port("awready"), "b"),
        (port("arvalid"), port("arready"), "r"),
    ):
        waits = Signal(range(patience + 2), name=f"{answer}_waits")
        free = offered & ~ready & ~(port(f"{answer}valid") & ~port(f"{answer}ready"))
        m.d.sync += waits.eq(Mux(free, waits + (waits <= patience), 0))
        claim.always(waits <= patience)
    claim.free += dut.free
    return claim
