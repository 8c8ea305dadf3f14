"""The register map, its page and its C header: what software relies on, written down by hand."""

import json
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from exaq import PRESETS, SoftmaxConfig
from exaq_hdl.emit.c_header import c_header, main, update
from exaq_hdl.shell.loads import refusal
from exaq_hdl.shell.register_map import (
    ADDRESS_BITS,
    COUNTERS,
    REGISTERS,
    WORD_BITS,
    Access,
    constant_words,
    constants,
    status_fields,
)
from exaq_hdl.shell.streams import events

PAGE = Path(__file__).resolve().parents[2] / "docs/registers.md"
SECONDS = 60

# Address, and bits of the fields: lowest and width.
MAP = {
    "ID": (0x00, {"magic": (0, 32)}),
    "VERSION": (0x04, {"patch": (0, 8), "minor": (8, 8), "major": (16, 8)}),
    "BUILD": (0x08, {"crc": (0, 32)}),
    "CODES": (
        0x0C,
        {
            "bits": (0, 8),
            "lanes": (8, 8),
            "group": (16, 8),
            "masking": (24, 1),
            "window": (25, 1),
            "mask_value": (26, 1),
            "sinks": (27, 1),
        },
    ),
    "FORMATS": (0x10, {"logit_width": (0, 8), "prob_bits": (8, 8), "exp_frac": (16, 8)}),
    "MAX_ROW": (0x14, {"max_row": (0, 32)}),
    "FULL_RATE_ROW": (0x18, {"full_rate_row": (0, 32)}),
    "CONTEXTS": (0x1C, {"contexts": (0, 32)}),
    "LATENCY": (0x20, {"latency": (0, 32)}),
    "STATUS": (
        0x30,
        {
            "busy": (0, 1),
            "ready": (1, 1),
            "done": (8, 1),
            "refused": (9, 1),
            "length": (10, 1),
            "context": (11, 1),
            "thresholds": (12, 1),
            "exponentials": (13, 1),
            "overrun": (14, 1),
            "sink": (15, 1),
        },
    ),
    "LOAD_BEGIN": (0x34, {"context": (0, 32)}),
    "LOAD_WORD": (0x38, {"word": (0, 32)}),
    "ROWS": (0x40, {"count": (0, 32)}),
    "BEATS": (0x44, {"count": (0, 32)}),
    "INPUT_STALLED": (0x48, {"count": (0, 32)}),
    "OUTPUT_STALLED": (0x4C, {"count": (0, 32)}),
    "LONG_ROWS": (0x50, {"count": (0, 32)}),
    "MASKED_ROWS": (0x54, {"count": (0, 32)}),
}
STICKY = 0xFF00
ERRORS = 0xFE00
# Of STATUS what a unit without sinks has not.
SINK = 0x8000
CONFIGS = {
    name: SoftmaxConfig.preset(name, contexts=preset.get("contexts", 3))
    for name, preset in PRESETS.items()
    if "kernel" not in preset
} | {
    "largest": SoftmaxConfig(
        bits=4,
        lanes=64,
        group=1,
        logit_width=24,
        max_row=65536,
        prob_bits=24,
        exp_frac=24,
        full_rate_row=65536,
        contexts=1024,
    ),
    "sinks": SoftmaxConfig(contexts=2, sink=5),
    "smallest": SoftmaxConfig(
        lanes=1, logit_width=4, max_row=1, prob_bits=4, exp_frac=4, contexts=1, masking=False
    ),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


def test_map_is_what_software_was_promised() -> None:
    found = {
        name: (each.offset, {field.name: (field.low, field.width) for field in each.fields})
        for name, each in REGISTERS.items()
    }
    assert found == MAP
    assert list(found) == list(MAP)
    assert (WORD_BITS, ADDRESS_BITS) == (32, 12)


def test_kinds_of_access() -> None:
    kinds = {kind: [n for n, each in REGISTERS.items() if each.access is kind] for kind in Access}
    assert kinds[Access.CONSTANT] == list(MAP)[:9]
    assert kinds[Access.STATUS] == ["STATUS"]
    assert kinds[Access.LOAD] == ["LOAD_BEGIN", "LOAD_WORD"]
    assert kinds[Access.COUNTER] == list(MAP)[12:]
    assert [each.name for each in COUNTERS] == list(MAP)[12:]
    assert REGISTERS["STATUS"].mask(sticky=True) == STICKY
    assert REGISTERS["STATUS"].mask(sticky=False) == 3


def test_counters_and_reasons_are_those_of_the_unit() -> None:
    """Each event of the core has a counter, each reason to refuse a sticky bit of its name."""
    config = SoftmaxConfig(contexts=2)
    assert sorted(each.event for each in COUNTERS) == sorted(n for n, _ in events(config.format))
    sticky = {field.name for field in REGISTERS["STATUS"].fields if field.sticky}
    reasons = {name for name, _ in refusal(SoftmaxConfig(contexts=2, sink=3).format)}
    assert sticky == reasons | {"done", "refused", "overrun"}
    assert {name for name, _ in refusal(config.format)} == reasons - {"sink"}
    assert sticky - {field.name for field in status_fields(config.format)} == {"sink"}


@EVERY
def test_constants_of_a_configuration(name: str) -> None:
    config = CONFIGS[name]
    words = constant_words(config, 41)
    major, minor, patch = (int(part) for part in _version().split("."))
    assert words == {
        "ID": 0x51415845,
        "VERSION": major << 16 | minor << 8 | patch,
        "BUILD": words["BUILD"],
        "CODES": config.bits
        | config.lanes << 8
        | config.group << 16
        | config.masking << 24
        | config.window << 25
        | (config.mask_value == "lowest") << 26
        | (name == "sinks") << 27,
        "FORMATS": config.logit_width | config.prob_bits << 8 | config.exp_frac << 16,
        "MAX_ROW": config.max_row,
        "FULL_RATE_ROW": config.full_rate_row,
        "CONTEXTS": config.contexts,
        "LATENCY": 41,
    }
    assert words["ID"].to_bytes(4, "little") == b"EXAQ"


def _version() -> str:
    project = (PAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.*)"$', project, re.MULTILINE)
    assert found
    return found[1]


def test_a_full_rate_row_beyond_32_bits_reads_as_ones() -> None:
    for row, read in [(2**32 - 1, 2**32 - 1), (2**32, 2**32 - 1), (2**40, 2**32 - 1)]:
        config = SoftmaxConfig(contexts=1, full_rate_row=row)
        assert constants(config)["FULL_RATE_ROW"] == {"full_rate_row": read}


def test_latency_is_left_out_where_it_is_not_known() -> None:
    config = SoftmaxConfig(contexts=1)
    assert set(constants(config, 7)) - set(constants(config)) == {"LATENCY"}


def test_build_tells_configurations_apart() -> None:
    changes = [{}, {"lanes": 8}, {"max_row": 512}, {"contexts": 4}, {"clip": -4.0}]
    crcs = [SoftmaxConfig(**{"contexts": 3} | change).build_crc for change in changes]
    crcs += [config.build_crc for config in CONFIGS.values()]
    assert len(set(crcs)) == len(changes) + len(CONFIGS) - 1  # 2bit-x4 are the defaults
    assert all(0 <= crc < 2**32 for crc in crcs)


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@EVERY
def test_page_tells_how_to_compute_the_build(name: str, tmp_path: Path) -> None:
    config = CONFIGS[name]
    (tmp_path / "softmax.json").write_text(json.dumps({"config": config.to_dict()}))
    (program,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    assert int(done.stdout, 16) == config.build_crc


def test_crc_is_that_of_the_text() -> None:
    """A configuration spelled out: the text that the checksum is of does not drift."""
    text = (
        '{"bits":2,"clip":-4.0,"context_tables":[{"exp_rom":[150,569,2159,8192],'
        '"thresholds":[-53,-32,-10]}],"contexts":1,"exp_frac":13,"full_rate_row":16,"group":1,'
        '"lanes":1,"logit_scale":0.0625,"logit_width":8,"masking":true,"max_row":16,'
        '"prob_bits":16,"tables":{"exp_rom":[150,569,2159,8192],"thresholds":[-53,-32,-10]}}'
    )
    config = SoftmaxConfig(clip=-4.0, lanes=1, max_row=16, contexts=1)
    assert config.build_crc == zlib.crc32(text.encode())


def test_page_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == update(text), "run python -m exaq_hdl.emit.c_header docs/registers.md"
    rows = re.findall(r"^\| `0x(..)` \| `(\w+)` \|", text, re.MULTILINE)
    assert [(name, int(offset, 16)) for offset, name in rows] == [
        (name, offset) for name, (offset, _) in MAP.items()
    ]


def test_page_is_updated_in_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = PAGE.read_text(encoding="utf-8")
    page.write_text(text.replace("STATUS", "STATE"), encoding="utf-8")
    main([str(page)])
    found = page.read_text(encoding="utf-8")
    mark = "<!-- registers:end -->"
    assert found.split(mark)[0] == text.split(mark)[0]
    assert "STATE" in found.split(mark)[1]


@pytest.mark.parametrize("text", ["", "<!-- registers:begin -->", "<!-- registers:end -->"])
def test_page_without_marks_is_refused(text: str) -> None:
    message = "^the page must hold <!-- registers:begin --> and <!-- registers:end -->$"
    with pytest.raises(ValueError, match=message):
        update(text)


def test_command_prints_the_header(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert capsys.readouterr().out == c_header(None, "exaq_softmax")


def macros(header: str) -> dict[str, int]:
    found = re.findall(r"^#define (\w+) (0x[0-9a-f]+|\d+)u?$", header, re.MULTILINE)
    assert len(dict(found)) == len(found)
    return {name: int(value, 0) for name, value in found}


@pytest.mark.parametrize("name", [None, *CONFIGS])
def test_header_has_the_map(name: str | None) -> None:
    config = CONFIGS[name] if name else None
    absent = {"sink"} if config and config.sink is None else set()
    sticky = STICKY & ~SINK if absent else STICKY
    expected = {"UNIT_A_STATUS_STICKY": sticky, "UNIT_A_POLLS": 1000000}
    words = constant_words(config, 0) if config else {"ID": 0x51415845}
    for register, (offset, fields) in MAP.items():
        expected[f"UNIT_A_{register}"] = offset
        for field, (low, width) in fields.items():
            if register == "STATUS" and field in absent:
                continue
            place = f"UNIT_A_{register}"
            if width < 32:
                place += f"_{field.upper()}"
                expected[f"{place}_SHIFT"] = low
                expected[f"{place}_MASK"] = (2**width - 1) << low
            if register in words and register != "LATENCY":
                expected[f"{place}_VALUE"] = words[register] >> low & 2**width - 1
    assert macros(c_header(config, "unit_a")) == expected


@pytest.mark.parametrize("prefix", ["", "2a", "a-b", "a b", "é", "a\n"])
def test_prefix_that_is_no_identifier_is_refused(prefix: str) -> None:
    message = re.escape(f"prefix must be a C identifier, not {prefix!r}")
    with pytest.raises(ValueError, match=f"^{message}$"):
        c_header(None, prefix)


def compiler(name: str) -> str:
    path = shutil.which(name)
    if not path:
        pytest.skip(f"there is no {name} here")
    return path


def compile_c(folder: Path, text: str, *options: str, tool: str = "cc") -> None:
    """Compile ``text`` in ``folder``, warnings being errors; ``options`` may set the standard."""
    name = "unit.c" if tool == "cc" else "unit.cpp"
    only = ["-std=c99"] if tool == "cc" else ["-std=c++11", "-Wold-style-cast"]
    (folder / name).write_text(text, encoding="utf-8")
    flags = [*only, "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion"]
    done = subprocess.run(
        [compiler(tool), *flags, "-Werror", *options, name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


STANDARDS = [("cc", "c99"), ("cc", "c11"), ("c++", "c++11"), ("c++", "c++17"), ("c++", "c++20")]


@pytest.mark.parametrize(("tool", "standard"), STANDARDS)
@pytest.mark.parametrize("name", [None, "2bit-x4"])
def test_header_compiles(name: str | None, tool: str, standard: str, tmp_path: Path) -> None:
    """As C and as C++, twice in one file, and with the header of another unit."""
    (tmp_path / "a.h").write_text(c_header(CONFIGS[name] if name else None, "exaq_softmax"))
    (tmp_path / "b.h").write_text(c_header(CONFIGS["largest"], "unit_b"))
    text = '#include "a.h"\n#include "b.h"\n#include "a.h"\nint unit;\n'
    compile_c(tmp_path, text, "-fsyntax-only", f"-std={standard}", tool=tool)


# A unit of registers that print what is written to them. STATUS reads as the words given, and
# then as the last of them for ever; BITS, ID and BUILD are macros.
UNIT = """
#include <stdio.h>
#include <stdlib.h>
static int argc_, reads; static char **argv_;
static unsigned read_(unsigned offset)
{
    if (offset == 0x00) return ID;
    if (offset == 0x08) return BUILD;
    if (offset == 0x0c) return 0x05040300u + BITS + (HAS_SINK << 27);
    if (offset != 0x30) abort();
    unsigned status;
    reads++;
    if (sscanf(argv_[reads < argc_ ? reads : argc_ - 1], "%x", &status) != 1) abort();
    return status;
}
static void write_(unsigned offset, unsigned word) { printf("%x %x\\n", offset, word); }
#include "softmax.h"
"""
MAIN = """
int main(int argc, char **argv)
{
    static const int32_t thresholds[] = {-7, -6, -5, -4, -3, -2, -1};
    static const uint32_t exponentials[] = {11, 12, 13, 14, 15, 16, 17, 18};
    uint32_t base[1] = {0};
    argc_ = argc; argv_ = argv;
#if GIVE_SINK
    const int32_t sink = -9;
    uint32_t result = exaq_softmax_load_sink(base, 5, thresholds, exponentials, &sink);
#else
    uint32_t result = exaq_softmax_load(base, 5, thresholds, exponentials);
#endif
    printf("%d %x %d\\n", exaq_softmax_found(base), result, reads);
    return 0;
}
"""


@pytest.fixture(scope="module", params=["cc", "c++"])
def load(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """Runs the header's load over STATUS words: (writes, found, result, reads of STATUS).

    Compiled as C and as C++.
    """
    tool = request.param
    programs: dict[tuple[int, ...], Path] = {}
    of_none = CONFIGS["3bit-x4"]
    of_sinks = of_none.replace(sink=0)

    def run(
        status: list[int],
        bits: int = 3,
        magic: int = 0x51415845,
        build: int | None = None,
        has_sink: bool = False,
        give_sink: bool = False,
    ):
        config = of_sinks if has_sink else of_none
        crc = config.build_crc if build is None else build
        key = (bits, magic, crc, int(has_sink), int(give_sink))
        if key not in programs:
            folder = tmp_path_factory.mktemp("load")
            header = c_header(config, "exaq_softmax")
            for access, instead in [
                ("return base[offset / 4u];", "(void)base; return read_(offset);"),
                ("base[offset / 4u] = word;", "(void)base; write_(offset, word);"),
            ]:
                assert header.count(access) == 1
                header = header.replace(access, instead)
            (folder / "softmax.h").write_text(header)
            given = zip(("BITS", "ID", "BUILD", "HAS_SINK", "GIVE_SINK"), key, strict=True)
            options = [f"-D{name}={value}u" for name, value in given]
            options += ["-DEXAQ_SOFTMAX_POLLS=9u", "-o", "unit"]
            compile_c(folder, UNIT + MAIN, *options, tool=tool)
            programs[key] = folder / "unit"
        done = subprocess.run(
            [str(programs[key]), *(f"{word:x}" for word in status)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        *writes, last = done.stdout.splitlines()
        found, result, reads = last.split()
        pairs = [tuple(int(part, 16) for part in line.split()) for line in writes]
        return pairs, int(found), int(result, 16), int(reads)

    return run


READY, BUSY, DONE = 2, 1, 1 << 8


def test_header_loads_tables(load) -> None:
    """The very words, in order, after what earlier loads left was cleared."""
    for bits in (2, 3):
        levels = 2**bits
        words = [0x100000000 - 7 + k for k in range(levels - 1)] + [11 + k for k in range(levels)]
        found = load([BUSY, BUSY, BUSY | READY, BUSY, BUSY, READY | DONE], bits)
        assert found == (
            [(0x30, STICKY & ~SINK), (0x34, 5), *((0x38, word) for word in words)],
            1,
            0,
            6,
        )


def test_header_loads_sinks(load) -> None:
    """As the last word; a unit of the other kind is not written to."""
    writes, _, result, _ = load([READY, READY | DONE], has_sink=True, give_sink=True)
    assert (writes[0], writes[-1], len(writes), result) == (
        (0x30, STICKY),
        (0x38, 2**32 - 9),
        18,
        0,
    )
    status = READY | 1 << 9 | SINK
    assert load([READY, status], has_sink=True, give_sink=True)[2] == 1 << 9 | SINK
    for has_sink in (False, True):
        found = load([READY, DONE], has_sink=has_sink, give_sink=not has_sink)
        assert found == ([], 1, 1 << 10, 0)


@pytest.mark.parametrize("bit", range(9, 15))
def test_header_says_why_a_load_was_refused(load, bit: int) -> None:
    status = READY | 1 << bit | (1 << 9 if bit < 14 else 0)
    assert load([READY, status])[2] == status & ERRORS


def test_header_gives_up(load) -> None:
    """A unit that is never ready is not written to; one that never answers is not waited for."""
    assert load([BUSY]) == ([], 1, BUSY, 9)
    writes, _, result, reads = load([READY, BUSY])
    assert (len(writes), result, reads) == (17, BUSY, 10)


def test_header_knows_its_unit(load) -> None:
    assert load([READY, DONE])[1] == 1
    assert load([READY, DONE], magic=0x51415846)[1] == 0
    assert load([READY, DONE], build=1)[1] == 0


def test_example_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "softmax.h").write_text(c_header(SoftmaxConfig(contexts=4), "exaq_softmax"))
    (program,) = blocks("c")
    compile_c(tmp_path, program, "-c", "-Wno-missing-prototypes")
    tables = SoftmaxConfig().tables
    for values in (tables.thresholds, tables.exp_rom):
        assert f"{{{', '.join(map(str, values))}}}" in program
