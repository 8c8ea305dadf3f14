"""The one memory of the unit: a write port, a read port, an output register."""

from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from exaq.scalars import integer


class VerilogTarget:
    """Platform that makes every ``Ram`` an instance of the Verilog module ``ram_module``.

    An FPGA flow then infers block RAM from that module, and an ASIC integrator puts a macro
    in its place. Without this platform (Amaranth's simulator) a ``Ram`` is behavioural.
    """

    def __init__(self, ram_module: str):
        self.ram_module = ram_module


class Ram(wiring.Component):
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
    """

    latency = 2

    def __init__(self, *, width: int, depth: int):
        self.width = width = integer("width", width, 1)
        self.depth = depth = integer("depth", depth, 2)
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

    def elaborate(self, platform):
        m = Module()
        if isinstance(platform, VerilogTarget):
            m.submodules.memory = Instance(
                platform.ram_module,
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

        m.submodules.memory = words = memory.Memory(shape=self.width, depth=self.depth, init=[])
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
