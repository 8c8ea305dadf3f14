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
from typing import Any, ClassVar

from amaranth.hdl import ClockSignal, Instance, Module, Shape, ShapeLike, Signal, Value
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

    #: Whether the design is for a chip. There a queue has the places that it needs and no more, a
    #: memory of few words is flops, a ROM is gates, and carries are no faster than other gates.
    chip: ClassVar[bool] = False
    #: Whether the large queues are in memories that either read or write in a cycle.
    single_port: bool = False
    #: Cycles from the address of a queue's memory to the word in its latch: 1 or 2.
    queue_read_cycles: int = 1

    def ram(
        self,
        *,
        width: int,
        depth: int,
        place: str = "block",
        read_cycles: int = 1,
        holds: str = "",
    ) -> "Ram":
        """A memory with a write port, a read port and an output register; as of ``Ram``.

        In logic it is no instance of ``ram_module``.
        """
        module = self.ram_module if place == "block" else None
        return Ram(
            width=width,
            depth=depth,
            module=module,
            place=place,
            read_cycles=read_cycles,
            holds=holds,
        )

    def single_port_ram(
        self, *, width: int, depth: int, read_cycles: int = 1, holds: str = ""
    ) -> "SinglePortRam":
        """A memory that reads or writes in a cycle."""
        return SinglePortRam(width=width, depth=depth, read_cycles=read_cycles, holds=holds)

    def rom(
        self, shape: ShapeLike, words: Sequence[int], *, place: str = "auto", holds: str = ""
    ) -> Any:
        """A memory that holds ``words``, with the ports of a ``Rom``; ``place`` as of it."""
        return Rom(shape, words, place=place, holds=holds)

    def lookup_ram(self, *, width: int, depth: int, holds: str = "") -> "LookupRam":
        """A small memory, read by as many ports as are asked of it."""
        return LookupRam(width=width, depth=depth, holds=holds)


#: Memories for Amaranth's simulator.
SIMULATED = Memories()


class DescribedMemory(Component):
    """A memory that says what it is, for the manifest.

    Members
    -------
    width, depth : bits of a word, and words
    kind : ``"ram"`` or ``"rom"``
    place : ``"block"`` or ``"logic"``
    ports : its ports that write, and those that read
    shared_port : whether it writes or reads in a cycle, by one port
    latency : cycles from an address to its word
    holds : what is in it, in words
    array : in a design for a chip, Verilog module of its words; else empty
    """

    width: int
    depth: int
    latency: int
    kind = "ram"
    place = "block"
    ports: tuple[int, int] = (1, 1)
    shared_port = False
    holds = ""
    array = ""


class Ram(DescribedMemory):
    """Simple dual-port RAM. Latency ``read_cycles`` + 1 cycles from address to data; throughput 1
    word per cycle.

    ``read_enable`` moves the word at ``read_address`` into a latch, ``output_enable`` moves the
    latch into ``read_data``; each holds its word while its enable is low. With 2 ``read_cycles``
    there is a second latch between them, which ``pipe_enable`` moves the first one into. A word
    may be read from the cycle after its write on. Contents and outputs are undefined before they
    are written; reading and writing one address in one cycle is not allowed.

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
    read_cycles
        1, or 2 for a memory that is slow to answer.
    holds
        What is in it, in words.

    Members
    -------
    write_enable : Signal(1), in
    write_address : Signal(range(depth)), in
    write_data : Signal(width), in
    read_enable : Signal(1), in
    read_address : Signal(range(depth)), in
    pipe_enable : Signal(1), in; with 2 read_cycles
    output_enable : Signal(1), in
    read_data : Signal(width), out
    """

    #: With 1 read_cycles.
    latency = 2

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        module: str | None = None,
        place: str = "block",
        read_cycles: int = 1,
        holds: str = "",
    ):
        self.holds = holds
        self.width = width = integer("width", width, 1)
        self.read_cycles = integer("read_cycles", read_cycles, 1, 2)
        self.latency = self.read_cycles + 1
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
                **({"pipe_enable": In(1)} if read_cycles > 1 else {}),
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
        latch: Value = read.data
        if self.read_cycles > 1:
            pipe = Signal(self.width, reset_less=True)
            with m.If(self.pipe_enable):
                m.d.sync += pipe.eq(latch)
            latch = pipe
        with m.If(self.output_enable):
            m.d.sync += output.eq(latch)
        return m


class SinglePortRam(DescribedMemory):
    """Memory that reads or writes a word in a cycle. Latency ``read_cycles`` from address to data.

    A word may be read from the cycle after its write on. ``read_data`` holds its word until the
    next one is read, also while others are written. With 2 ``read_cycles`` a word that is read is
    first in a latch, which ``pipe_enable`` moves into ``read_data``. Contents and outputs are
    undefined before they are written.

    Parameters
    ----------
    width, depth, read_cycles, holds
        As of ``Ram``.

    Members
    -------
    enable : Signal(1), in; a word is read or written
    write : Signal(1), in; which of the two
    address : Signal(range(depth)), in
    write_data : Signal(width), in
    pipe_enable : Signal(1), in; with 2 read_cycles
    read_data : Signal(width), out
    """

    shared_port = True

    def __init__(self, *, width: int, depth: int, read_cycles: int = 1, holds: str = ""):
        self.holds = holds
        self.width = width = integer("width", width, 1)
        self.depth = depth = integer("depth", depth, 2)
        self.read_cycles = self.latency = integer("read_cycles", read_cycles, 1, 2)
        super().__init__(
            {
                "enable": In(1),
                "write": In(1),
                "address": In(range(depth)),
                "write_data": In(width),
                **({"pipe_enable": In(1)} if read_cycles > 1 else {}),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        words: Any = memory.Memory(shape=self.width, depth=self.depth, init=[])
        m.submodules[_WORDS] = words
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.en.eq(self.enable & self.write),
            read.en.eq(self.enable & ~self.write),
            write.addr.eq(self.address),
            read.addr.eq(self.address),
            write.data.eq(self.write_data),
            self.read_data.eq(read.data),
        ]
        if self.read_cycles > 1:
            pipe = Signal(self.width, reset_less=True)
            m.d.comb += self.read_data.eq(pipe)
            with m.If(self.pipe_enable):
                m.d.sync += pipe.eq(read.data)
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

    def __init__(
        self, shape: ShapeLike, words: Sequence[int], *, place: str = "auto", holds: str = ""
    ):
        self.holds = holds
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

    def __init__(self, *, width: int, depth: int, holds: str = ""):
        self.holds = holds
        width, depth = integer("width", width, 1), integer("depth", depth, 1)
        super().__init__(shape=width, depth=depth, init=[])


@dataclass(frozen=True, kw_only=True)
class MemoryUse:
    """A memory of a design.

    Members
    -------
    path : names of the instances that lead to it from the top, and its own
    write_ports, read_ports : ports that each move a word a cycle
    ... : as of ``DescribedMemory``
    """

    path: tuple[str, ...]
    kind: str
    place: str
    width: int
    depth: int
    write_ports: int
    read_ports: int
    latency: int
    holds: str
    shared_port: bool = False
    array: str = ""

    @property
    def bits(self) -> int:
        """All bits."""
        return self.width * self.depth


_KINDS = (DescribedMemory, memory.Memory)


def memories_of(design: Any, path: tuple[str, ...] = ()) -> Iterator[MemoryUse]:
    """Every memory of an elaborated design, in the order of its submodules."""
    for part, name, _ in design.subfragments:
        here = (*path, str(name))
        owner = next((each for each in part.origins or () if isinstance(each, _KINDS)), None)
        if isinstance(owner, DescribedMemory):
            yield MemoryUse(
                path=(*here, _WORDS) if owner.kind == "ram" else here,
                kind=owner.kind,
                place=owner.place,
                width=owner.width,
                depth=owner.depth,
                write_ports=owner.ports[0],
                read_ports=owner.ports[1],
                latency=owner.latency,
                holds=owner.holds,
                shared_port=owner.shared_port,
                array=owner.array,
            )
        elif isinstance(owner, memory.Memory):
            domains = {str(getattr(port, "domain", "")) for port in owner.read_ports}
            yield MemoryUse(
                path=here,
                kind="rom" if isinstance(owner, Rom) else "ram",
                place=owner.place if isinstance(owner, Rom) else "logic",
                width=Shape.cast(owner.shape).width,
                depth=owner.depth,
                write_ports=len(owner.write_ports),
                read_ports=len(owner.read_ports),
                latency=0 if domains == {"comb"} else 1,
                holds=getattr(owner, "holds", ""),
            )
        else:
            yield from memories_of(part, here)
