"""The memory, against a dictionary with two registers behind it."""

import random

import pytest
from amaranth.hdl import Fragment
from unit_bench import Bench

from exaq.attention import AttentionConfig
from exaq_hdl.attention.attention_head import AttentionHead
from exaq_hdl.parts.memory import Memories, Ram, memories_of


def bench(ram: Ram, inputs: list[dict[str, int]]) -> list[int]:
    """``read_data`` in each cycle; what an input does not name is 0."""
    names = [name for name in ram.signature.members if name != "read_data"]
    test = Bench(ram)

    def drive(ctx, cycle: int) -> None:
        for name in names:
            ctx.set(getattr(ram, name), inputs[cycle].get(name, 0))

    test.every(drive)
    data = test.probe(ram.read_data)
    test.run(cycles=len(inputs))
    return data.values


@pytest.mark.parametrize(("width", "depth"), [(1, 2), (5, 3), (9, 16), (33, 37)])
def test_random_traffic(width: int, depth: int) -> None:
    rng = random.Random(depth)
    words: dict[int, int] = {}
    latch = output = None
    inputs: list[dict[str, int]] = []
    expected = []
    for _ in range(600):
        expected.append(output)
        write = {"write_enable": rng.getrandbits(1), "write_data": rng.getrandbits(width)}
        write["write_address"] = rng.randrange(depth)
        read = {"read_enable": rng.getrandbits(1), "output_enable": rng.getrandbits(1)}
        read["read_address"] = rng.randrange(depth)
        if write["write_address"] == read["read_address"] and write["write_enable"]:
            read["read_enable"] = 0
        inputs.append(write | read)
        if read["output_enable"]:
            output = latch
        if read["read_enable"]:
            latch = words.get(read["read_address"])
        if write["write_enable"]:
            words[write["write_address"]] = write["write_data"]
    found = bench(Ram(width=width, depth=depth), inputs)
    known = [k for k, word in enumerate(expected) if word is not None]
    assert len(known) > 400
    assert [found[k] for k in known] == [expected[k] for k in known]


def test_latency_is_two_cycles_and_a_word_may_be_read_right_after_its_write() -> None:
    on = {"read_enable": 1, "output_enable": 1}
    writes = [{"write_enable": 1, "write_address": k, "write_data": 10 + k} for k in range(4)]
    reads = [{}] + [on | {"read_address": k} for k in range(4)]
    cycles = [a | b for a, b in zip([*writes, {}, {}], [*reads, on], strict=True)]
    found = bench(Ram(width=8, depth=4), [*cycles, {}, {}])
    assert found[1 + Ram.latency : 5 + Ram.latency] == [10, 11, 12, 13]
    assert Ram.latency == 2


def test_each_register_holds_by_itself() -> None:
    fill = [{"write_enable": 1, "write_address": k, "write_data": 10 + k} for k in range(3)]
    steps = [
        {"read_enable": 1, "read_address": 0},
        {"output_enable": 1},
        {"read_enable": 1, "read_address": 1},
        {"read_address": 2},
        {},
        {"output_enable": 1, "read_enable": 1, "read_address": 2},
        {},
        {"output_enable": 1},
        {},
        {},
    ]
    found = bench(Ram(width=8, depth=3), fill + steps)[len(fill) :]
    assert found[2:] == [10, 10, 10, 10, 11, 11, 12, 12]


@pytest.mark.usefixtures("unused_components")
def test_few_words_are_in_logic_and_no_instance() -> None:
    memories = Memories(ram_module="some_ram")
    logic, block = (memories.ram(width=7, depth=5, place=each) for each in ("logic", "block"))
    assert (logic.module, logic.place) == (None, "logic")
    assert (block.module, block.place) == ("some_ram", "block")
    with pytest.raises(ValueError, match="place must be"):
        memories.ram(width=7, depth=5, place="rom")
    # Wide or narrow, and a block RAM has 36 bits: the shallow queues of an attention head.
    head = AttentionHead(AttentionConfig(head_size=16, max_row=16), memories=memories)
    uses = {".".join(use.path): use for use in memories_of(Fragment.get(head, None))}
    others = {name: use.depth for name, use in uses.items() if use.place == "logic"}
    assert others == {"scores.queue.ram.memory": 16, "errors.ram.memory": 32}
