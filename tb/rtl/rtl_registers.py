"""The bench's end of the AXI4-Lite port: a master that speaks in registers, a bus monitor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from cocotbext.axi.axil_channels import AxiLiteAWTransaction, AxiLiteWTransaction
from rtl_stalls import STALLS
from rtl_tables import Contexts, words_of

from exaq import Tables
from exaq_hdl.shell.register_map import REGISTERS

_STATUS = REGISTERS["STATUS"]
#: Octets of a register.
WORD = 4
#: Ones in all sticky bits of STATUS.
CLEAR_ALL = _STATUS.mask(sticky=True)

#: The channels that the unit drives: handshake signals by their prefix, and payloads.
_CHANNELS = {"b": ("bresp",), "r": ("rdata", "rresp")}


class BusMonitor:
    """Looks at the unit's side of the bus in every cycle.

    Checks: no ready and no valid is ever undefined; nor is a valid payload, and it holds until
    ready, as valid does.
    """

    def __init__(self, read: Callable[[str], int], fail: Callable[[str], Any]) -> None:
        self._read = read
        self._fail = fail
        self._shown: dict[str, tuple[int, ...]] = {}

    def forget(self) -> None:
        """The unit was reset."""
        self._shown.clear()

    def look(self) -> None:
        """Looks at a cycle."""
        for ready in ("s_axi_awready", "s_axi_wready", "s_axi_arready"):
            self._read(ready)
        for channel, names in _CHANNELS.items():
            before = self._shown.pop(channel, None)
            if self._read(f"s_axi_{channel}valid"):
                payload = tuple(self._read(f"s_axi_{name}") for name in names)
                if before not in (None, payload):
                    self._fail(f"s_axi_{channel} changed before ready: {before}, {payload}")
                if not self._read(f"s_axi_{channel}ready"):
                    self._shown[channel] = payload
            elif before is not None:
                self._fail(f"s_axi_{channel}valid fell before ready")


class WideBus:
    """The unit's port behind an adapter to a bus of ``octets`` octets, at least those of a word.

    As such adapters do, it makes of an access one to every word of the beat that the address is
    in, reads and writes alike: words that a write does not mean get no strobes. The worst answer
    to any of them is the answer.
    """

    def __init__(self, master: AxiLiteMaster, octets: int) -> None:
        self._read = master.read
        self._write = master.write_if
        self._octets = octets

    async def read(self, address: int, length: int) -> tuple[bytes, AxiResp]:
        """``length`` octets, all in one beat."""
        beat = address - address % self._octets
        words = [await self._read(beat + at, WORD) for at in range(0, self._octets, WORD)]
        data = b"".join(word.data for word in words)[address - beat :][:length]
        return data, max(word.resp for word in words)

    async def write(self, address: int, data: bytes) -> AxiResp:
        """Writes ``data``, all in one beat, past the master: it sends no word without strobes."""
        beat = address - address % self._octets
        lanes = bytes(address - beat) + data
        strobes = (1 << len(lanes)) - (1 << address - beat)
        answers = []
        for at in range(0, self._octets, WORD):
            word = int.from_bytes(lanes[at : at + WORD], "little")
            some = strobes >> at & (1 << WORD) - 1
            await self._write.aw_channel.send(AxiLiteAWTransaction(awaddr=beat + at, awprot=0))
            await self._write.w_channel.send(AxiLiteWTransaction(wdata=word, wstrb=some))
            answers.append(AxiResp(int((await self._write.b_channel.recv()).bresp)))
        return max(answers)


class Registers:
    """Reads and writes registers by name, and loads tables as docs/registers.md says.

    ``fail`` ends the test. ``contexts`` learns of every load.
    """

    def __init__(
        self,
        dut: Any,
        contexts: Contexts,
        rng: np.random.Generator,
        fail: Callable[[str], NoReturn],
    ) -> None:
        self.dut = dut
        self.contexts = contexts
        self.rng = rng
        self.fail = fail
        self.loads = 0
        self._wide: WideBus | None = None
        bus = AxiLiteBus.from_prefix(dut, "s_axi")
        self.master = AxiLiteMaster(bus, dut.aclk, dut.aresetn, False)
        for part in (self.master.write_if, self.master.read_if):
            part.log.setLevel(logging.ERROR)

    def stall(self, name: str) -> None:
        """Makes the master's five channels pause by a pattern of STALLS, each on its own."""
        pattern = STALLS[name]
        write, read = self.master.write_if, self.master.read_if
        for channel in (
            *(write.aw_channel, write.w_channel, write.b_channel),
            *(read.ar_channel, read.r_channel),
        ):
            channel.set_pause_generator(None if pattern is None else pattern(self.rng))
            channel.pause = False

    def behind(self, octets: int) -> None:
        """Reads and writes go through a bus of ``octets`` octets from now on, bursts apart."""
        self._wide = WideBus(self.master, octets) if octets > WORD else None

    async def read_at(self, address: int) -> tuple[int, bool]:
        """A word, and whether it could be read."""
        if self._wide:
            data, answer = await self._wide.read(address, WORD)
        else:
            given = await self.master.read(address, WORD)
            data, answer = given.data, given.resp
        return int.from_bytes(data, "little"), answer == AxiResp.OKAY

    async def write_at(self, address: int, word: int | bytes) -> bool:
        """Writes a word, or some of its bytes; whether it was taken."""
        data = word if isinstance(word, bytes) else (word & 0xFFFFFFFF).to_bytes(WORD, "little")
        if self._wide:
            answer = await self._wide.write(address, data)
        else:
            answer = (await self.master.write(address, data)).resp
        if answer not in (AxiResp.OKAY, AxiResp.SLVERR):
            self.fail(f"a write to {address:#x} was answered {answer}")
        return bool(answer == AxiResp.OKAY)

    async def read(self, name: str) -> int:
        """The word of a register that can be read."""
        word, good = await self.read_at(REGISTERS[name].offset)
        if not good:
            self.fail(f"{name} cannot be read")
        return word

    async def write(self, name: str, word: int) -> None:
        """Writes a register that takes the word."""
        if not await self.write_at(REGISTERS[name].offset, word):
            self.fail(f"{name} does not take {word:#x}")

    async def status(self) -> set[str]:
        """The fields of STATUS that are 1."""
        word = await self.read("STATUS")
        if word & ~(CLEAR_ALL | _STATUS.mask(sticky=False)):
            self.fail(f"STATUS has bits without a meaning: {word:#x}")
        return {field.name for field in _STATUS.fields if word & field.mask}

    async def clear(self) -> None:
        """Clears the sticky bits of STATUS."""
        await self.write("STATUS", CLEAR_ALL)

    async def until(self, *wanted: str) -> set[str]:
        """Reads STATUS until one of these fields is 1; what it then holds."""
        for _ in range(4000):
            found = await self.status()
            if not found.isdisjoint(wanted):
                break
        else:
            self.fail(f"STATUS shows none of {wanted}, but {found}")
        return found

    async def pause(self, cycles: int) -> None:
        """Lets cycles pass."""
        if cycles:
            await ClockCycles(self.dut.aclk, cycles)

    async def words(self, words: Sequence[int], *, begin: bool = True) -> None:
        """Writes words of a load, all of which must be taken: the first one to LOAD_BEGIN."""
        for place, word in enumerate(words):
            await self.write("LOAD_BEGIN" if begin and place == 0 else "LOAD_WORD", word)
            if place + 1 == len(words) or self.rng.random() > 0.05:
                continue
            if "ready" not in await self.status():
                self.fail(f"STATUS.ready is 0 behind word {place} of a load")

    async def burst(self, words: Sequence[int], *, begin: bool = True) -> None:
        """Writes words of a load as fast as the bus goes."""
        events = []
        for place, word in enumerate(words):
            offset = REGISTERS["LOAD_BEGIN" if begin and place == 0 else "LOAD_WORD"].offset
            events.append(self.master.init_write(offset, (word % 2**32).to_bytes(4, "little")))
        for place, event in enumerate(events):
            await event.wait()
            if event.data.resp != AxiResp.OKAY:
                self.fail(f"word {place} of a burst is not taken")

    async def give(self, context: int, tables: Tables) -> None:
        """Waits until a load may be written, and writes one."""
        await self.until("ready")
        await self.clear()
        words = words_of(context, tables)
        if self.rng.random() < 0.5:
            await self.words(words[:-1])
            self.contexts.expect(context, tables)
            await self.write("LOAD_WORD", words[-1])
        else:
            self.contexts.expect(context, tables)
            await self.burst(words)

    async def push(self, context: int, tables: Tables) -> None:
        """Writes a load as early and fast as can be: tries to begin it until that is taken."""
        words = words_of(context, tables)
        while not await self.write_at(REGISTERS["LOAD_BEGIN"].offset, context):
            pass
        await self.clear()
        self.contexts.expect(context, tables)
        await self.burst(words[1:], begin=False)

    async def see_done(self) -> None:
        """Waits for the load that was given; it must take effect, and nothing else happen."""
        found = await self.until("done", "refused", "overrun")
        if found - {"ready", "busy"} != {"done"}:
            self.fail(f"a good load ends with {found}")
        if not self.contexts.settle():
            self.fail("STATUS.done is 1 though the load did not take effect")
        self.loads += 1

    async def load(self, context: int, tables: Tables) -> None:
        """Loads tables and sees them in force."""
        await self.give(context, tables)
        await self.see_done()

    async def see_refused(self, reasons: frozenset[str]) -> None:
        """Waits for the end of a bad load; it must be refused for exactly these reasons."""
        found = await self.until("done", "refused", "overrun")
        if found - {"ready"} != {"refused"} | reasons:
            self.fail(f"a load that is wrong for {sorted(reasons)} ends with {sorted(found)}")
