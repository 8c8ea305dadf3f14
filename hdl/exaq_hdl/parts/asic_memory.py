"""Memories for a chip: each size is a module of its own, so that a macro can take its place.

``AsicMemories`` is what a design for a chip is given in the place of ``Memories``. A memory of it
is an instance of a wrapper, NAME__ram_DEPTHxWIDTH, which has the output register; in that is the
array of words, which a macro of the foundry replaces. Small memories are flops, and ROMs gates.

    >>> from exaq_hdl.parts.asic_memory import AsicMemories
    >>> memories = AsicMemories(name="unit")
    >>> memories.ram(width=42, depth=270).array
    'unit__array_270x42'
    >>> memories.ram(width=9, depth=12).array
    'unit__flops_12x9'
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from amaranth.hdl import ClockSignal, Const, Instance, Module, Shape, ShapeLike, Signal
from amaranth.lib.wiring import In

from exaq.scalars import choice
from exaq_hdl.parts.component import Component
from exaq_hdl.parts.memory import DescribedMemory, Memories, Ram, SinglePortRam

#: Bits up to which a memory is flops: a macro of so few is mostly its periphery.
FLOP_BITS = 1024


@dataclass(frozen=True, kw_only=True)
class AsicMemories(Memories):
    """Makes memories for a chip.

    Parameters
    ----------
    name
        Name of the unit, with which the names of all modules begin.
    models
        Whether the text has the arrays, as a simulator needs them, or leaves them to macros.
    single_port, queue_read_cycles
        As of ``Memories``.

    Members
    -------
    texts : Verilog of each module that has been used so far, by its name
    """

    name: str
    models: bool = True
    texts: dict[str, str] = field(default_factory=dict)

    chip: ClassVar[bool] = True

    def ram(
        self,
        *,
        width: int,
        depth: int,
        place: str = "block",
        read_cycles: int = 1,
        holds: str = "",
    ) -> "AsicRam":
        """A memory with a write port, a read port and an output register; as of ``Ram``.

        Its size decides whether it is flops, wherever its place would be in an FPGA.
        """
        return AsicRam(self, width=width, depth=depth, read_cycles=read_cycles, holds=holds)

    def single_port_ram(
        self, *, width: int, depth: int, read_cycles: int = 1, holds: str = ""
    ) -> "AsicSinglePortRam":
        """A memory that reads or writes in a cycle."""
        return AsicSinglePortRam(
            self, width=width, depth=depth, read_cycles=read_cycles, holds=holds
        )

    def rom(
        self, shape: ShapeLike, words: Sequence[int], *, place: str = "auto", holds: str = ""
    ) -> "GateRom":
        """A memory that holds ``words``; gates, wherever its place would be in an FPGA."""
        return GateRom(self, shape, words, holds=holds)

    def add(self, name: str, text: str) -> None:
        """Have the module ``name`` in the design's text."""
        self.texts.setdefault(name, text)


class AsicRam(Ram):
    """A ``Ram`` that is an instance of the wrapper of its size."""

    def __init__(
        self, memories: AsicMemories, *, width: int, depth: int, read_cycles: int, holds: str
    ):
        super().__init__(width=width, depth=depth, read_cycles=read_cycles, holds=holds)
        self._memories = memories
        small = self.width * self.depth <= FLOP_BITS
        self.place = "logic" if small else "block"
        size = f"{self.depth}x{self.width}"
        slow = "_slow" if self.read_cycles > 1 else ""
        #: Module of the words.
        self.array = f"{memories.name}__{'flops' if small else 'array'}_{size}"
        self._wrapper = f"{memories.name}__ram_{size}{slow}"

    def elaborate(self, platform: Any) -> Module:
        memories, address = self._memories, len(self.read_address)
        if memories.models or self.place == "logic":
            memories.add(self.array, _array(self.array, self.width, self.depth, address))
        memories.add(
            self._wrapper,
            _wrapper(self._wrapper, self.array, self.width, address, self.read_cycles),
        )
        m = Module()
        m.submodules.memory = _instance(self, self._wrapper)
        return m


class AsicSinglePortRam(SinglePortRam):
    """A ``SinglePortRam`` that is an instance of the wrapper of its size."""

    def __init__(
        self, memories: AsicMemories, *, width: int, depth: int, read_cycles: int, holds: str
    ):
        super().__init__(width=width, depth=depth, read_cycles=read_cycles, holds=holds)
        self._memories = memories
        size = f"{self.depth}x{self.width}"
        #: Module of the words.
        self.array = f"{memories.name}__array_{size}_single_port"
        slow = "_slow" if self.read_cycles > 1 else ""
        self._wrapper = f"{memories.name}__ram_{size}_single_port{slow}"

    def elaborate(self, platform: Any) -> Module:
        memories, address = self._memories, len(self.address)
        if memories.models:
            memories.add(
                self.array, _single_port_array(self.array, self.width, self.depth, address)
            )
        memories.add(
            self._wrapper,
            _single_port_wrapper(self._wrapper, self.array, self.width, address, self.read_cycles),
        )
        m = Module()
        m.submodules.memory = _instance(self, self._wrapper)
        return m


class GateRom(DescribedMemory):
    """Constant words as ``case``. Latency 1 cycle from address to data of each ``read_port()``, 0
    where its domain is ``"comb"``.

    Parameters
    ----------
    memories
        Those of the design.
    shape
        Shape of a word.
    words
        What it holds, at least one word.
    holds
        The same in words.
    """

    kind, place = "rom", "logic"

    def __init__(
        self, memories: AsicMemories, shape: ShapeLike, words: Sequence[int], *, holds: str
    ):
        self.holds = holds
        self.shape = Shape.cast(shape)
        self.width, self.depth = self.shape.width, len(words)
        self._memories = memories
        self._words = [Const.cast(Const(word, self.shape)).value for word in words]
        self.latency = 1
        self.read_ports: list[RomPort] = []
        super().__init__({})

    def read_port(self, domain: str = "sync") -> "RomPort":
        """A further port; all are of one ``domain``."""
        port = RomPort(self.shape, self.depth)
        self.latency = int(choice("domain", domain, ("comb", "sync")) == "sync")
        self.read_ports.append(port)
        self.ports = (0, len(self.read_ports))
        return port

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        name = self._module()
        clocked = [("i", "clk", ClockSignal())] if self.latency else []
        for k, port in enumerate(self.read_ports):
            enabled = [("i", "enable", port.en)] if self.latency else []
            m.submodules[f"port{k}"] = Instance(
                name, *clocked, *enabled, ("i", "address", port.addr), ("o", "data", port.data)
            )
        return m

    def _module(self) -> str:
        """The module of these words: there is one for all ROMs of the design that hold them."""
        size = f"{self._memories.name}__rom_{self.depth}x{self.width}"
        number = 0
        while True:
            name = size + (f"_{number}" if number else "")
            text = _rom(name, self._words, self.width, clocked=bool(self.latency))
            if self._memories.texts.setdefault(name, text) == text:
                return name
            number += 1


class RomPort:
    """A read port, with the signals of one of Amaranth's memories."""

    def __init__(self, shape: Shape, depth: int):
        self.en = Signal(init=1)
        self.addr = Signal(range(depth))
        self.data = Signal(shape)


def _instance(ram: Component, module: str) -> Instance:
    ports = {name: member.flow for name, member in ram.signature.members.items()}
    return Instance(
        module,
        ("i", "clk", ClockSignal()),
        *(("i" if flow is In else "o", name, getattr(ram, name)) for name, flow in ports.items()),
    )


def _ports(*ports: tuple[str, str, int]) -> str:
    lines = []
    for direction, name, width in ports:
        bits = f"[{width - 1}:0] " if width != 1 or name.endswith(("address", "data")) else ""
        lines.append(f"  {direction} {bits}{name}")
    return ",\n".join(lines)


def _two_port(width: int, address: int) -> list[tuple[str, str, int]]:
    return [
        ("input wire", "clk", 1),
        ("input wire", "write_enable", 1),
        ("input wire", "write_address", address),
        ("input wire", "write_data", width),
        ("input wire", "read_enable", 1),
        ("input wire", "read_address", address),
    ]


def _array(name: str, width: int, depth: int, address: int) -> str:
    return f"""\
// {depth} words of {width} bits, a write port and a read port. A word is never read and written in
// one cycle, and read_data holds its word while read_enable is low.
module {name} (
{_ports(*_two_port(width, address), ("output reg", "read_data", width))}
);
  reg [{width - 1}:0] words [0:{depth - 1}];
  always @(posedge clk) begin
    if (write_enable) words[write_address] <= write_data;
    if (read_enable) read_data <= words[read_address];
  end
endmodule
"""


def _wrapper(name: str, array: str, width: int, address: int, read_cycles: int) -> str:
    connected = ", ".join(f".{port}({port})" for _, port, _ in _two_port(width, address))
    pipe, body, last = _pipe(width, read_cycles)
    ports = [
        *_two_port(width, address),
        *pipe,
        ("input wire", "output_enable", 1),
        ("output reg", "read_data", width),
    ]
    return f"""\
// The array and its output register.
module {name} (
{_ports(*ports)}
);
  wire [{width - 1}:0] latch;
  {array} array ({connected}, .read_data(latch));
{body}  always @(posedge clk) if (output_enable) read_data <= {last};
endmodule
"""


def _single_port(width: int, address: int) -> list[tuple[str, str, int]]:
    return [
        ("input wire", "clk", 1),
        ("input wire", "enable", 1),
        ("input wire", "write", 1),
        ("input wire", "address", address),
        ("input wire", "write_data", width),
    ]


def _single_port_array(name: str, width: int, depth: int, address: int) -> str:
    return f"""\
// {depth} words of {width} bits, one port. read_data holds its word until the next one is read,
// also while others are written.
module {name} (
{_ports(*_single_port(width, address), ("output reg", "read_data", width))}
);
  reg [{width - 1}:0] words [0:{depth - 1}];
  always @(posedge clk) if (enable) begin
    if (write) words[address] <= write_data;
    else read_data <= words[address];
  end
endmodule
"""


def _single_port_wrapper(name: str, array: str, width: int, address: int, read_cycles: int) -> str:
    connected = ", ".join(f".{port}({port})" for _, port, _ in _single_port(width, address))
    pipe, body, last = _pipe(width, read_cycles)
    ports = [*_single_port(width, address), *pipe, ("output wire", "read_data", width)]
    return f"""\
// The array{" and its second latch" if pipe else ""}.
module {name} (
{_ports(*ports)}
);
  wire [{width - 1}:0] latch;
  {array} array ({connected}, .read_data(latch));
{body}  assign read_data = {last};
endmodule
"""


def _pipe(width: int, read_cycles: int) -> tuple[list[tuple[str, str, int]], str, str]:
    """Ports, text and name of the second latch, where there is one."""
    if read_cycles == 1:
        return [], "", "latch"
    text = f"""\
  reg [{width - 1}:0] pipe;
  always @(posedge clk) if (pipe_enable) pipe <= latch;
"""
    return [("input wire", "pipe_enable", 1)], text, "pipe"


def _rom(name: str, words: Sequence[int], width: int, *, clocked: bool) -> str:
    address = max((len(words) - 1).bit_length(), 1)
    bits = (1 << width) - 1
    digits = -(-width // 4)
    cases = "\n".join(
        f"      {address}'d{k}: word = {width}'h{word & bits:0{digits}x};"
        for k, word in enumerate(words)
    )
    undefined = f"{width}'b{'x' * width}"
    in_clock = [("input wire", "clk", 1), ("input wire", "enable", 1)] if clocked else []
    kind = "output reg" if clocked else "output wire"
    ports = [*in_clock, ("input wire", "address", address), (kind, "data", width)]
    given = "always @(posedge clk) if (enable) data <=" if clocked else "assign data ="
    return f"""\
// {len(words)} constant words of {width} bits.
module {name} (
{_ports(*ports)}
);
  function [{width - 1}:0] word (input [{address - 1}:0] place);
    case (place)
{cases}
      default: word = {undefined};
    endcase
  endfunction
  {given} word(address);
endmodule
"""
