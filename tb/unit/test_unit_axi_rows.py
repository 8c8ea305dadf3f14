"""How codes and row results lie in the bytes of AXI4-Stream, against the slow softmax."""

import random
from types import SimpleNamespace

import pytest
from amaranth.hdl import Cat
from oracle import code_row
from test_unit_axi import Ports, beats_in, beats_out, join
from test_unit_softmax import random_row
from unit_bench import Bench, stalls
from unit_rows import row_item

from exaq import SoftmaxConfig
from exaq_hdl import AxiSoftmax

# Bits of a code, lanes, bits of a logit, of a probability, masks.
SIZES = [
    (2, 4, 8, 16, True),
    (3, 3, 12, 9, True),
    (2, 1, 4, 24, True),
    (3, 11, 17, 8, False),
    (4, 2, 24, 20, True),
    (2, 9, 9, 4, True),
]
OUTPUTS = [("codes", "sum"), ("codes", "table"), ("probabilities", "sum")]


def unit(size: tuple[int, int, int, int, bool], output: tuple[str, str]) -> SoftmaxConfig:
    bits, lanes, logit_width, prob_bits, masking = size
    return SoftmaxConfig(
        bits=bits,
        lanes=lanes,
        max_row=6 * lanes,
        logit_width=logit_width,
        prob_bits=prob_bits,
        masking=masking,
        output=output[0],
        row_results=output[1],
    )


def code_words(config: SoftmaxConfig, row: list[int], live: list[bool]) -> list[int]:
    """Words of the master bus: tdata, tkeep, tlast, tuser, the first one lowest."""
    row, live = row[: config.max_row], live[: config.max_row]
    codes = code_row(row, live, config)
    octets = (config.bits * config.lanes + 7) // 8
    words = []
    for k in range(0, len(row), config.lanes):
        part = codes[k : k + config.lanes]
        marks = live[k : k + config.lanes]
        keep = [
            any(b // 8 == octet for b in range(len(part) * config.bits)) for octet in range(octets)
        ]
        last = k + config.lanes >= len(row)
        word = join(part, config.bits) | join(keep, 1) << 8 * octets | last << 9 * octets
        words.append(word | join(marks, 1) << 9 * octets + 1)
    return words


def row_word(config: SoftmaxConfig, row: list[int], live: list[bool]) -> int:
    """m_row_tdata, and m_row_tuser above it."""
    item = row_item(config, list(zip(row, live, strict=True)))
    parts = [
        (item["maximum"], (config.logit_width + 7) // 8),
        (item["sum"], (config.sum_bits + 7) // 8),
        *((p, (config.prob_bits + 7) // 8) for p in item.get("probabilities", [])),
    ]
    word = place = 0
    for value, octets in parts:
        word |= (value & (1 << 8 * octets) - 1) << place
        place += 8 * octets
    return word | item["error"] << place


@pytest.mark.parametrize("output", OUTPUTS, ids=" and ".join)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_places_of_codes_and_results(
    size: tuple[int, int, int, int, bool], output: tuple[str, str]
) -> None:
    config = unit(size, output)
    rng = random.Random(str(size))
    given, expected, results = [], [], []
    for _ in range(24):
        row = random_row(
            config, rng, rng.choice([1, config.lanes, rng.randint(1, 7 * config.lanes)])
        )
        logits, live = [x for x, _ in row], [flag for _, flag in row]
        given += beats_in(config, rng, logits, live)
        words = code_words if config.output == "codes" else beats_out
        expected += words(config, logits, live)
        results.append(row_word(config, logits, live))
    ports = Ports(config)
    axi = ports.axi
    rows = SimpleNamespace(
        payload=Cat(axi.m_row_tdata, axi.m_row_tuser),
        valid=axi.m_row_tvalid,
        ready=axi.m_row_tready,
    )
    bench = ports.bench()
    bench.feed(ports.i, given, stalls(1, 0.2))
    elements = bench.drain(ports.o, len(expected), stalls(2, 0.3))
    found = bench.drain(rows, len(results), stalls(3, 0.5))
    bench.run()
    assert elements.items == expected
    assert found.items == results


@pytest.mark.parametrize("contexts", [0, 1, 5])
@pytest.mark.usefixtures("unused_components")
def test_ports_of_rows(contexts: int) -> None:
    """As wide as they must be; none where there are no row results, and tid with contexts alone."""
    common = {"lanes": 2, "max_row": 8, "contexts": contexts}
    assert not [
        name for name in AxiSoftmax(SoftmaxConfig(**common)).ports if name.startswith("m_row")
    ]
    config = SoftmaxConfig(output="codes", logit_width=9, prob_bits=17, **common)
    axi = Ports(config)
    Bench(axi.top, domain="bus").run(cycles=1)
    widths = {name: port.width for name, port in axi.axi.ports.items() if name.startswith("m_")}
    number = {"m_axis_tid": 3, "m_row_tid": 3} if contexts > 1 else {}
    # Two bytes of maximum, three of a sum of 14 bits and 8 such, four times three of probability.
    assert config.sum_bits == 17
    assert widths == {
        "m_axis_tdata": 8,
        "m_axis_tkeep": 1,
        "m_axis_tuser": 2,
        "m_axis_tlast": 1,
        "m_axis_tvalid": 1,
        "m_axis_tready": 1,
        "m_row_tdata": 8 * (2 + 3 + 4 * 3),
        "m_row_tuser": 1,
        "m_row_tvalid": 1,
        "m_row_tready": 1,
        **number,
    }
