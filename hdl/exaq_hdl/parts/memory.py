"""The memories of a design: RAMs and ROMs, made by one object that is given to who needs them.

A component takes ``memories`` and calls ``memories.ram(...)`` or ``memories.rom(...)``. So whoever
builds the design chooses what a RAM becomes: words that Amaranth's simulator knows, or, for
Verilog, instances of one module that FPGA tools take for block RAM and that an ASIC replaces by a
macro. ``memories_of`` lists the memories of a finished design.

    >>> from exaq_hdl.parts.memory import Memories
    >>> ram = Memories(ram_module="my_ram").ram(width=16, depth=512)
    >>> ram.read_data.shape(), ram.latency
    (unsigned(16), 2)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Shape, ShapeLike, Signal
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out

from exaq.scalars import choice, integer
from exaq_hdl.parts.component import Component

# What the words of a Ram are called in it.
_WORDS = "memory"
# Generic in the stubs alone.
_Memory: Any = memory.Memory

#: Bits from which on a ROM costs less in block RAM than in logic.
ROM_BLOCK_BITS = 1024


@dataclass(frozen=True, kw_only=True)
class Memories:
    """Makes memories.

    Parameters
    ----------
    ram_module
        Verilog module that every ``Ram`` is an instance of; see ``exaq_hdl/emit/ram.v`` for its
        ports. None: a ``Ram`` holds its words itself, as a simulator needs it.
    """

    ram_module: str | None = None

    def ram(self, *, width: int, depth: int, place: str = "block") -> "Ram":
        """A memory with a write port, a read port and an output register; ``place`` as of ``Ram``.

        In logic it is no instance of ``ram_module``.
        """
        module = self.ram_module if place == "block" else None
        return Ram(width=width, depth=depth, module=module, place=place)

    def rom(self, shape: ShapeLike, words: Sequence[int], *, place: str = "auto") -> "Rom":
        """A memory that holds ``words``; ``place`` as of ``Rom``."""
        return Rom(shape, words, place=place)

    def lookup_ram(self, *, width: int, depth: int) -> "LookupRam":
        """A small memory, read by as many ports as are asked of it."""
        return LookupRam(width=width, depth=depth)


#: Memories for Amaranth's simulator.
SIMULATED = Memories()


class Ram(Component):
    """Simple dual-port RAM. Latency 2 cycles from address to data; throughput 1 word per cycle.

    ``read_enable`` moves the word at ``read_address`` into a latch, ``output_enable`` moves the
    latch into ``read_data``; each holds its word while its enable is low. A word may be read
    from the cycle after its write on. Contents and outputs are undefined before they are
    written; reading and writing one address in one cycle is not allowed.

    Parameters
    ----------
    width
        Bits of a word, at least 1.
    depth
        Number of words, at least 2.
    module
        Verilog module to be an instance of; None: the words are here.
    place
        ``"block"`` for block RAM, or ``"logic"`` for few words, which distributed RAM holds.

    Members
    -------
    write_enable : Signal(1), in
    write_address : Signal(range(depth)), in
    write_data : Signal(width), in
    read_enable : Signal(1), in
    read_address : Signal(range(depth)), in
    output_enable : Signal(1), in
    read_data : Signal(width), out
    """

    latency = 2

    def __init__(self, *, width: int, depth: int, module: str | None = None, place: str = "block"):
        self.width = width = integer("width", width, 1)
        self.depth = depth = integer("depth", depth, 2)
        self.module = module
        self.place = choice("place", place, ("block", "logic"))
        super().__init__(
            {
                "write_enable": In(1),
                "write_address": In(range(depth)),
                "write_data": In(width),
                "read_enable": In(1),
                "read_address": In(range(depth)),
                "output_enable": In(1),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self.module is not None:
            m.submodules[_WORDS] = Instance(
                self.module,
                ("p", "WIDTH", self.width),
                ("p", "DEPTH", self.depth),
                ("p", "ADDRESS_WIDTH", len(self.read_address)),
                ("i", "clk", ClockSignal()),
                ("i", "write_enable", self.write_enable),
                ("i", "write_address", self.write_address),
                ("i", "write_data", self.write_data),
                ("i", "read_enable", self.read_enable),
                ("i", "read_address", self.read_address),
                ("i", "output_enable", self.output_enable),
                ("o", "read_data", self.read_data),
            )
            return m

        words: Any = memory.Memory(shape=self.width, depth=self.depth, init=[])
        m.submodules[_WORDS] = words
        write, read = words.write_port(), words.read_port()
        output = Signal(self.width, reset_less=True)
        m.d.comb += [
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_address),
            self.read_data.eq(output),
        ]
        with m.If(self.output_enable):
            m.d.sync += output.eq(read.data)
        return m


class Rom(_Memory):
    """Constant words. Latency 1 cycle from address to data of each ``read_port()``.

    Parameters
    ----------
    shape
        Shape of a word.
    words
        What it holds, at least one word.
    place
        ``"block"`` for block RAM, ``"logic"`` where synthesis may choose, which takes logic for a
        small one, or ``"auto"`` for whichever is cheaper.
    """

    def __init__(self, shape: ShapeLike, words: Sequence[int], *, place: str = "auto"):
        if place not in ("block", "logic", "auto"):
            raise ValueError(f"place must be block, logic or auto, not {place!r}")
        bits = len(words) * Shape.cast(shape).width
        if place == "auto":
            place = "block" if bits >= ROM_BLOCK_BITS else "logic"
        self.place = place
        style = {"ram_style": "block"} if place == "block" else {}
        super().__init__(shape=shape, depth=len(words), init=words, attrs=style)


class LookupRam(_Memory):
    """A small memory of few words with several read ports, for logic or distributed RAM.

    Latency 1 cycle of each ``read_port()``, none of a ``read_port(domain="comb")``; a
    ``write_port()`` besides. Contents are undefined
    before they are written.
    """

    def __init__(self, *, width: int, depth: int):
        width, depth = integer("width", width, 1), integer("depth", depth, 1)
        super().__init__(shape=width, depth=depth, init=[])


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """A memory of a design.

    Members
    -------
    path : names of the instances that lead to it from the top, and its own
    kind : ``"ram"`` or ``"rom"``
    place : ``"block"`` or ``"logic"``
    width, depth : bits of a word, and words
    write_ports, read_ports : ports that each move a word a cycle
    """

    path: tuple[str, ...]
    kind: str
    place: str
    width: int
    depth: int
    write_ports: int
    read_ports: int

    @property
    def bits(self) -> int:
        """All bits."""
        return self.width * self.depth


_KINDS = (Ram, memory.Memory)


def memories_of(design: Any, path: tuple[str, ...] = ()) -> Iterator[MemoryUse]:
    """Every memory of an elaborated design, in the order of its submodules."""
    for part, name, _ in design.subfragments:
        here = (*path, str(name))
        owner = next((each for each in part.origins or () if isinstance(each, _KINDS)), None)
        if isinstance(owner, Ram):
            yield MemoryUse(
                path=(*here, _WORDS),
                kind="ram",
                place=owner.place,
                width=owner.width,
                depth=owner.depth,
                write_ports=1,
                read_ports=1,
            )
        elif isinstance(owner, memory.Memory):
            yield MemoryUse(
                path=here,
                kind="rom" if isinstance(owner, Rom) else "ram",
                place=owner.place if isinstance(owner, Rom) else "logic",
                width=Shape.cast(owner.shape).width,
                depth=owner.depth,
                write_ports=len(owner.write_ports),
                read_ports=len(owner.read_ports),
            )
        else:
            yield from memories_of(part, here)
