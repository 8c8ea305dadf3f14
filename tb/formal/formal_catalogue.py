"""All proofs: of what part of which configuration's text, by which prover, and what must fail.

    for proof in catalogue():
        outcome = proof.run(Path(folder))

Each has a twin: the same claim with one thing wrong, a contract stricter by an item for example, or
a table with another entry. A twin that cannot be told from the truth would show that the proof says
nothing.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import formal_banks
import formal_blocks as blocks
import formal_boot
import formal_bound
import formal_frames
import formal_progress
import formal_queue
import formal_registers
import formal_requests
import formal_ring
import formal_sender
import formal_stuffing
import formal_unit
import formal_whole
import formal_working
from amaranth.hdl import ResetSignal
from formal_engines import Answer, Claim, bounded, induct, reach, search
from formal_text import Opened, instances, modules_of, opened, queues
from formal_unit import TOP

from exaq import PRESETS, SoftmaxConfig
from exaq.release import as_compared
from exaq_fpga.link.protocol import CHECK
from exaq_hdl import Emitted, emit_verilog

HERE = Path(__file__).resolve().parent

#: What is proved, by the name of a kind of proof.
KINDS = {
    "addresses": "A queue's addresses run through all its places in one circle",
    "quantizer": "The code of every maximum and logit is that of the authors' quantizer in exact "
    "fractions",
    "sums": "Every entry of LUT_sum is the sum of its codes' exponentials",
    "exponentials": "The dividers have the exponential of every code",
    "registers": "AXI4-Lite: each request is answered once, after a bounded time, and answers wait",
    "receiver": "A row ends with tlast or at max_row, where it has an error; what it has beyond "
    "is dropped, and nothing else",
    "beats": "Beats and rows out are those that came in, in order, with their tkeep and tlast; "
    "each row has one sum",
    "contracts": "No producer sends what its queue has no room for, and every stream out holds "
    "what it offers until it is taken: no bound of the unit's size, any stalls",
    "queue": "A queue gives what it was given, in order, each item once; it never overflows, "
    "shows an item in time and holds it until it is taken; `room` is as declared",
    "working": "What makes words of a row (thresholds of its maximum, quotients of its sum) gives "
    "them in order, and the emitter its beats, the next one after a bounded time",
    "progress": "While a whole row is inside or the input is closed, something moves or works in a "
    "bounded time, or an output waits for its receiver: no row waits for ever",
    "bound": "Each move takes one of a row's moves to come away, no more beats come behind it than "
    "the unit holds, and its moves are at most so many cycles apart: it leaves in bounded time",
    "banks": "Nothing is written into tables that a row inside goes by: no row sees half a load, "
    "or another context's tables",
    "boot": "After a reset every context has its tables, in the cycles that the manifest says",
    "divider": "Every quotient is rounded as documented, for all exponentials and stalls, and "
    "each sum of a small unit",
    "whole": "In its first cycles, which is enough for whole rows, a small unit gives what the "
    "specification says of each row, for any numbers, masks, tails, lengths and stalls",
    "frames": "The link's receiver: each frame is judged by what stands in it since the last "
    "delimiter, and is handed on, or counted as damaged or as lost; nothing is overwritten",
    "requests": "The link's responder: each request is answered once, in order, with its tag; one "
    "that is refused has no effect; it never stands still",
    "sender": "The link's sender: each message's octets in order, then its check, which is CRC-32",
    "stuffing": "The link's stuffing (COBS) and its taking off: the octets of a line mean the "
    "messages that were taken, in order and whole, and are read as that; it goes on",
}

Prover = Callable[[Claim, Path], Answer]


@dataclass(frozen=True)
class Proof:
    """A claim about a text, and its twin.

    Members
    -------
    kind
        One of KINDS.
    name
        Of what it is, ``2bit-x4 core.row_buffer`` for example.
    text
        The part of the emitted text that it depends on.
    claims
        Makes the claim, and its twin, in a folder.
    prove, refute
        Provers of the two.
    others
        Further places with the same text.
    """

    kind: str
    name: str
    text: str
    claims: Callable[[Path], tuple[Claim, Claim]]
    prove: Prover
    refute: Prover
    others: list[str] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        """Another one where the text is another, or what is claimed of it."""
        return hashlib.sha256((self.text + _rules(_CLAIMS[self.kind])).encode()).hexdigest()

    def run(self, folder: Path) -> tuple[Answer, Answer]:
        """What the provers say of the claim and of its twin."""
        claim, twin = self.claims(folder)
        return self.prove(claim, folder), self.refute(twin, folder)


#: The module in which the claims of a kind are.
_CLAIMS = {
    "addresses": "formal_queue",
    "quantizer": "formal_blocks",
    "sums": "formal_blocks",
    "exponentials": "formal_blocks",
    "registers": "formal_registers",
    "receiver": "formal_unit",
    "beats": "formal_unit",
    "contracts": "formal_unit",
    "queue": "formal_queue",
    "working": "formal_ring",
    "progress": "formal_progress",
    "bound": "formal_bound",
    "banks": "formal_banks",
    "boot": "formal_boot",
    "divider": "formal_blocks",
    "whole": "formal_whole",
    "frames": "formal_frames",
    "requests": "formal_requests",
    "sender": "formal_sender",
    "stuffing": "formal_stuffing",
}
_WITH_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef)


@cache
def _rules(module: str) -> str:
    """The code of a module of claims and of all that it imports from beside it, the provers too,
    without comments and docstrings.
    """
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        tree = ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, _WITH_DOCSTRINGS) and ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
            if isinstance(node, ast.Import):
                waiting += [each.name for each in node.names if (HERE / f"{each.name}.py").exists()]
            elif isinstance(node, ast.ImportFrom) and (HERE / f"{node.module}.py").exists():
                waiting.append(str(node.module))
        found[name] = ast.unparse(tree)
    return "\n".join(found[name] for name in sorted(found))


@cache
def _emission(preset: str) -> Emitted:
    with as_compared():
        return emit_verilog(SoftmaxConfig(**PRESETS[preset]))


@cache
def emitted(preset: str) -> str:
    """The text of a preset, without its first comments, which no tool reads."""
    texts = modules_of(_emission(preset).verilog).values()
    return "".join(f"{text}\n\n" for text in texts)


def catalogue(presets: tuple[str, ...] = tuple(PRESETS)) -> list[Proof]:
    """All proofs, those that take seconds first."""
    found = [*_of_queues(presets)]
    for preset in presets:
        found += [*_of_unit(preset), *_of_progress(preset), *_of_banks(preset)]
    found += [*_of_working(presets), *_of_blocks(presets)]
    found += _of_dividers()
    found += _of_whole()
    found += [*_of_frames(), *_of_requests(presets), *_of_sender(), *_of_stuffing()]
    return sorted(found, key=lambda proof: [*KINDS].index(proof.kind))


def _of_queues(presets: tuple[str, ...]) -> Iterator[Proof]:
    seen: dict[str, tuple[Proof, Proof]] = {}
    for preset in presets:
        text = emitted(preset)
        kinds = dict(instances(text, TOP))
        for place, module in queues(text, TOP):
            outer = place.rpartition(".")[0]
            if place.endswith(".fifo"):
                module = kinds[outer]
            parts = _with_parts(text, module)
            plain = _plain(parts, module)
            if plain in seen:
                for proof in seen[plain]:
                    proof.others.append(f"{preset} {place}")
                continue
            queue = formal_queue.queue_of(text, module)

            def claims(
                folder: Path, parts: str = parts, queue: formal_queue.Queue = queue
            ) -> tuple[Claim, Claim]:
                design = formal_queue.open_queue(parts, queue, folder)
                rules = partial(formal_queue.queue_rules, design, queue)
                return rules(), rules(late=1)

            def addresses(
                folder: Path, parts: str = parts, queue: formal_queue.Queue = queue
            ) -> tuple[Claim, Claim]:
                design = formal_queue.open_queue(parts, queue, folder)
                rules = partial(formal_queue.address_rules, design, queue)
                return rules(), rules(skip=1)

            refute = partial(_steadily, steps=queue.places + 12, high=("valid", "enable"))
            seen[plain] = (
                Proof("queue", f"{preset} {place}", plain, claims, _queue, refute),
                Proof(
                    "addresses",
                    f"{preset} {place}",
                    plain,
                    addresses,
                    _tight,
                    partial(bounded, steps=4),
                ),
            )
            yield from seen[plain]


def _queue(claim: Claim, folder: Path) -> Answer:
    return induct(claim, folder, steps=6)


def _tight(claim: Claim, folder: Path) -> Answer:
    return induct(claim, folder, steps=2)


def _steadily(claim: Claim, folder: Path, *, steps: int, high: tuple[str, ...]) -> Answer:
    """A way to break the claim on which nothing changes: free inputs whose names end with one of
    ``high`` are 1 and all others 0, without another reset. So it may be as long as a row.
    """
    m = claim.module
    for signal in claim.free:
        m.d.comb += signal.eq(-1 if signal.name.endswith(high) else 0)
    claim.free.clear()
    claim.given(claim.first | ~ResetSignal())
    return search(claim, folder, steps=steps)


def _with_parts(text: str, module: str) -> str:
    """The text of a module and of what is in it."""
    texts = modules_of(text)
    names = [module, *(kind for _, kind in instances(text, module))]
    return "\n\n".join(texts[name] for name in dict.fromkeys(names)) + "\n"


def _plain(text: str, module: str) -> str:
    """A module's text without its name and the numbers of Yosys's wires, to find equal ones."""
    block = module.removeprefix(f"{TOP}__")
    text = re.sub(rf"\b{re.escape(module)}", "M", text)
    text = re.sub(rf"\b{re.escape(block)}_", "", text)
    return re.sub(r"\$procmux\$\d+_Y", "$", text)


def _open_unit(text: str, folder: Path) -> Opened:
    """The unit without queues and, with contexts, without all that keeps and loads tables.

    Whatever these may give stands in their places, so no prover waits for the first load.
    """
    design = formal_unit.open_unit(text, folder)
    tables = [place for place, _ in instances(text, TOP) if _TABLES_OF_CONTEXTS.search(place)]
    if not tables:
        return design
    cut = [place for place, _ in queues(text, TOP)] + tables
    show = [name for name in design.outputs if name.startswith("core.receiver.")]
    return opened(text, TOP, folder, cut=cut, show=show)


_TABLES_OF_CONTEXTS = re.compile(
    r"^control$|^core\.(boot|context_map|table_loader|sum_ram\d+|row_thresholds\.ram"
    r"|accumulator\.excess_ram|normalizer\.divider\d+\.exp_ram)$"
)


def _of_unit(preset: str) -> Iterator[Proof]:
    text, config = emitted(preset), SoftmaxConfig(**PRESETS[preset])

    def contracts(folder: Path) -> tuple[Claim, Claim]:
        design = _open_unit(text, folder)
        rules = partial(formal_unit.unit_rules, text, design)
        return rules(), rules(late=next(place for place, _ in queues(text, TOP)))

    def receiver(folder: Path) -> tuple[Claim, Claim]:
        design = _open_unit(text, folder)
        rules = partial(formal_unit.receiver_rules, text, config, design)
        return rules(), rules(longer=1)

    def beats(folder: Path, way: tuple[str, str], fixed: bool) -> tuple[Claim, Claim]:
        design = _open_unit(text, folder)
        rules = partial(formal_unit.row_rules, text, config, design, way)
        if fixed:
            # What is free-running takes some number of cycles. The first beat may come late: where
            # thresholds are made for each row, these come first.
            first = 48 if config.contexts or config.format.float_format else 8
            cycles = next(
                cycles
                for cycles in range(_LONGEST)
                if search(rules(cycles=cycles), folder, steps=cycles + first) is not Answer.REFUTED
            )
            rules = partial(rules, cycles=cycles)
        return rules(), rules(wrong=True)

    def registers(folder: Path) -> tuple[Claim, Claim]:
        design = opened(text, TOP, folder, cut=["core"])
        patience = formal_registers.PATIENCE
        rules = partial(formal_registers.register_rules, design)
        return rules(), rules(patience=patience - 1)

    pdr = partial(reach, seconds=300)
    if config.contexts:
        yield Proof("registers", preset, text, registers, pdr, pdr)
    yield Proof("contracts", preset, text, contracts, pdr, pdr)
    too_long = partial(_steadily, steps=config.format.beats + 12, high=("tvalid", "ready", "room"))
    yield Proof("receiver", preset, text, receiver, _tight, too_long)
    for way in formal_unit.ways(text):
        name = f"{preset} {way[0]} to {way[1]}"
        fixed = formal_unit.free_running(config, way)
        prove = partial(induct, steps=_LONGEST + 4) if fixed else pdr
        high = ("valid", "ready", "room", "choice", "payload")
        flowing = partial(_steadily, steps=400, high=high)
        refute = partial(bounded, steps=_LONGEST + 48) if fixed else flowing
        yield Proof("beats", name, text, partial(beats, way=way, fixed=fixed), prove, refute)


def _of_banks(preset: str) -> Iterator[Proof]:
    text, config = emitted(preset), SoftmaxConfig(**PRESETS[preset])
    if not config.contexts:
        return

    def loading(folder: Path) -> tuple[Claim, Claim]:
        rules = partial(formal_banks.loader_rules, config, formal_banks.open_loader(text, folder))
        return rules(), rules(hasty=True)

    def memory(folder: Path) -> tuple[Claim, Claim]:
        rules = partial(formal_banks.memory_rules, config, formal_banks.open_map(text, folder))
        return rules(), rules(later=True)

    def mapping(folder: Path) -> tuple[Claim, Claim]:
        rules = partial(formal_banks.map_rules, config, formal_banks.open_map(text, folder))
        return rules(), rules(for_ever=True)

    cycles = _emission(preset).manifest["contexts"]["cycles_after_reset"]

    def boot(folder: Path) -> tuple[Claim, Claim]:
        design = formal_banks.open_loader(text, folder)
        rules = partial(formal_boot.boot_rules, config, design)
        return rules(cycles=cycles), rules(cycles=cycles - 1)

    within = partial(formal_whole.within, cycles=cycles + 2)
    late = partial(_steadily, steps=cycles + 2, high=("_free",))
    yield Proof("boot", preset, text, boot, within, late)
    pdr, find = partial(reach, seconds=900), partial(search, steps=60)
    yield Proof("banks", f"{preset} memory", text, memory, pdr, pdr)
    yield Proof("banks", f"{preset} map", text, mapping, partial(induct, steps=3), find)
    yield Proof("banks", f"{preset} loading", text, loading, pdr, pdr)


def _of_working(presets: tuple[str, ...]) -> Iterator[Proof]:
    seen: dict[str, Proof] = {}
    for preset in presets:
        text, config = emitted(preset), SoftmaxConfig(**PRESETS[preset])
        for name, block in formal_working.working(config).items():
            place, module = f"{preset} {name}", f"{TOP}__{name}"
            plain = _plain(_with_parts(text, module), module)
            if plain in seen:
                seen[plain].others.append(place)
                continue
            ring = formal_ring.is_ring(block)

            def claims(
                folder: Path, text: str = text, name: str = name, block: Any = block
            ) -> tuple[Claim, Claim]:
                cycles = formal_working.patience(block)
                if formal_ring.is_ring(block):
                    design = formal_working.open_working(text, name, folder, show=formal_ring.SHOWN)
                    rules = partial(formal_ring.ring_rules, name, block, design)
                else:
                    design = formal_working.open_working(text, name, folder)
                    rules = partial(formal_working.rules_alone, name, block, design)
                return rules(cycles=cycles), rules(cycles=cycles - 1)

            prove = _tight if ring else partial(reach, seconds=300)
            seen[plain] = Proof("working", place, plain, claims, prove, partial(search, steps=150))
            yield seen[plain]


def _of_progress(preset: str) -> Iterator[Proof]:
    text, config = emitted(preset), SoftmaxConfig(**PRESETS[preset])
    cycles = formal_progress.idle_cycles(config)

    def progress(folder: Path) -> tuple[Claim, Claim]:
        design = formal_progress.open_counted(text, config, folder)
        rules = partial(formal_progress.progress_rules, text, config, design)
        return rules(cycles=cycles), rules(cycles=cycles - 1)

    def bound(folder: Path) -> tuple[Claim, Claim]:
        design = formal_progress.open_counted(text, config, folder)
        rules = partial(formal_bound.bound_rules, text, config, design)
        return rules(), rules(fewer=1)

    prove = partial(induct, steps=_LONGEST)
    yield Proof("progress", preset, text, progress, prove, _find)
    yield Proof("bound", preset, text, bound, prove, _find)


def _find(claim: Claim, folder: Path) -> Answer:
    return search(claim, folder, steps=60)


#: Cycles that a free-running way takes, less than.
_LONGEST = 24


def _of_blocks(presets: tuple[str, ...]) -> Iterator[Proof]:
    seen: dict[Any, Proof] = {}
    for preset in presets:
        config, text = SoftmaxConfig(**PRESETS[preset]), emitted(preset)
        texts = modules_of(text)
        if config.kernel.name != "exaq" or config.contexts:
            continue

        def quantizer(
            folder: Path, text: str = text, config: SoftmaxConfig = config
        ) -> tuple[Claim, Claim]:
            design = opened(text, f"{TOP}__quantizer", folder)
            codes = blocks.exact_codes(config)
            # The last distance that has the highest code gets another one.
            wrong = list(codes)
            wrong[codes.index(config.levels - 2) - 1] -= 1
            rules = partial(blocks.quantizer_rules, config, design)
            return rules(codes=codes), rules(codes=wrong)

        # Floating-point logits are compared with borders; tables may have no clip at all.
        plain_logits = config.logit_width == 8 and config.format.float_format is None
        if plain_logits and config.clip is not None:
            part = _with_parts(text, f"{TOP}__quantizer")
            prove: Prover = partial(induct, steps=5)
            yield Proof("quantizer", preset, part, quantizer, prove, partial(bounded, steps=9))
        for module in texts:
            kind = next((kind for end, kind in _TABLES.items() if re.search(end, module)), None)
            if kind is None:
                continue
            # The same contents, as sums of the same exponentials: that is the same proof.
            plain = (kind, _plain(texts[module], module), config.tables, config.bits)
            if plain in seen:
                seen[plain].others.append(f"{preset} {module}")
            else:
                seen[plain] = _of_table(kind, preset, config, text, module)
                yield seen[plain]


#: Modules that are tables, by how their names end, and what is proved of them.
_TABLES = {r"__sum_rom\d+$": "sums", r"_exp_rom$": "exponentials"}


def _of_table(kind: str, preset: str, config: SoftmaxConfig, text: str, module: str) -> Proof:
    make = blocks.sum_table_rules if kind == "sums" else blocks.exponential_rules

    def claims(folder: Path) -> tuple[Claim, Claim]:
        design: Opened = opened(text, module, folder)
        return make(config, design), make(config, design, off=1)

    name = f"{preset} {module.removeprefix(f'{TOP}__')}"
    prover: Prover = partial(bounded, steps=6)
    return Proof(kind, name, _with_parts(text, module), claims, partial(induct, steps=5), prover)


#: The unit whose dividers are proved: few sums, and each prover's answer takes seconds.
_SMALL: dict[str, Any] = {
    "bits": 2,
    "lanes": 1,
    "max_row": 8,
    "exp_frac": 4,
    "prob_bits": 4,
    "full_rate_row": 8,
}
_SUMS = range(1, 25)


def _of_dividers() -> Iterator[Proof]:
    config = SoftmaxConfig(**_SMALL)
    text = emit_verilog(config).verilog
    module = next(name for name in modules_of(text) if name.endswith("_divider0"))
    part = _with_parts(text, module)

    def claims(folder: Path, total: int) -> tuple[Claim, Claim]:
        design = opened(text, module, folder, cut=["exp_rom"])
        rules = partial(blocks.divider_rules, config, design, total)
        return rules(), rules(off=1)

    for total in _SUMS:
        name = f"full_rate_row {config.full_rate_row}, sum {total}"
        prove, refute = partial(reach, seconds=300), partial(bounded, steps=30)
        yield Proof("divider", name, part, partial(claims, total=total), prove, refute)


def _of_whole() -> Iterator[Proof]:
    for name, small in formal_whole.SMALL.items():
        config = small.config
        text = emit_verilog(config).verilog
        parts = "".join(f"{part}\n\n" for part in modules_of(text).values())

        def claims(
            folder: Path, text: str = parts, config: SoftmaxConfig = config
        ) -> tuple[Claim, Claim]:
            design = opened(text, TOP, folder)
            rules = partial(formal_whole.whole_rules, config, design)
            return rules(), rules(probability=formal_whole.truncated)

        prove = partial(formal_whole.within, cycles=small.cycles)
        yield Proof("whole", name, parts, claims, prove, partial(search, steps=small.cycles))


#: Buffers of boards, and one that is small enough to watch what is in it.
_BUFFERS = {512: False, 4096: False, 16: True}
_receiver_text = cache(formal_frames.receiver_text)
_sender_text = cache(formal_sender.sender_text)


@cache
def _responder_text(preset: str) -> str:
    return formal_requests.responder_text(SoftmaxConfig(**PRESETS[preset]))


def _of_frames() -> Iterator[Proof]:
    prove = partial(induct, steps=4)
    for size, watched in _BUFFERS.items():
        text = _receiver_text(size)

        def claims(
            folder: Path, text: str = text, size: int = size, watched: bool = watched
        ) -> tuple[Claim, Claim]:
            design = formal_frames.open_receiver(text, folder)
            rules = partial(formal_frames.frame_rules, size, design, watched=watched)
            return rules(), rules(wrong=True)

        name = f"buffer of {size}" + (", a message watched" if watched else "")
        yield Proof("frames", name, text, claims, prove, partial(search, steps=60))


#: Presets whose responder is followed, one of which loads tables.
_RESPONDERS = ("2bit-x4", "2bit-x4-c12")


def _of_requests(presets: tuple[str, ...]) -> Iterator[Proof]:
    pdr, find = partial(reach, seconds=600), partial(search, steps=60)
    for preset in _RESPONDERS:
        if preset not in presets:
            continue
        text, config = _responder_text(preset), SoftmaxConfig(**PRESETS[preset])

        def answers(
            folder: Path, text: str = text, config: SoftmaxConfig = config
        ) -> tuple[Claim, Claim]:
            design = formal_requests.open_responder(text, folder)
            rules = partial(formal_requests.answer_rules, config, design)
            return rules(), rules(wrong_load=True) if config.contexts else rules(wrong_tag=True)

        def progress(
            folder: Path, text: str = text, config: SoftmaxConfig = config
        ) -> tuple[Claim, Claim]:
            design = formal_requests.open_without_counters(text, folder)
            rules = partial(formal_requests.progress_rules, config, design)
            patience = formal_requests.PATIENCE
            return rules(patience=patience), rules(patience=patience - 1)

        def rows(
            folder: Path, text: str = text, config: SoftmaxConfig = config
        ) -> tuple[Claim, Claim]:
            design = formal_requests.open_reader(text, folder)
            rules = partial(formal_requests.row_rules, config, design)
            return rules(), rules(most=config.max_row - 1)

        for name, claims in (("rows", rows), ("answers", answers), ("progress", progress)):
            yield Proof("requests", f"{preset} {name}", text, claims, pdr, find)


def _of_sender() -> Iterator[Proof]:
    text, find = _sender_text(), partial(search, steps=60)

    def frames(folder: Path) -> tuple[Claim, Claim]:
        rules = partial(formal_sender.sender_rules, formal_sender.open_sender(text, folder))
        return rules(), rules(octets=CHECK - 1)

    yield Proof("sender", "frames", text, frames, partial(reach, seconds=300), find)
    receiver = _receiver_text(min(_BUFFERS))
    for module, part in ((formal_sender.MODULE, text), (formal_frames.MODULE, receiver)):

        def check(folder: Path, module: str = module, part: str = part) -> tuple[Claim, Claim]:
            design = formal_sender.open_check(part, module, folder)
            rules = partial(formal_sender.check_rules, design)
            return rules(), rules(polynomial=formal_sender.POLYNOMIAL ^ 2)

        yield Proof("sender", f"check of {module}", part, check, _tight, find)


def _of_stuffing() -> Iterator[Proof]:
    encoder, decoder = formal_stuffing.encoder_text(), formal_stuffing.decoder_text()

    def encoding(folder: Path) -> tuple[Claim, Claim]:
        design = formal_stuffing.open_encoder(encoder, folder)
        rules = partial(formal_stuffing.encoder_rules, design)
        return rules(), rules(kept=True)

    def decoding(folder: Path) -> tuple[Claim, Claim]:
        design = formal_stuffing.open_decoder(decoder, folder)
        rules = partial(formal_stuffing.decoder_rules, design)
        return rules(), rules(first_too=True)

    yield Proof("stuffing", "encoder", encoder, encoding, _tight, partial(search, steps=30))
    yield Proof("stuffing", "decoder", decoder, decoding, _tight, partial(search, steps=30))
