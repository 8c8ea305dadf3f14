"""The registers in SystemRDL: what PeakRDL makes of them says what the page and the C header do."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from systemrdl import RDLCompiler
from systemrdl.messages import MessagePrinter
from systemrdl.node import FieldNode, RegNode

from exaq import SoftmaxConfig
from exaq_hdl import emit_verilog
from exaq_hdl.emit.c_header import c_header
from exaq_hdl.emit.companions.companion import Unit
from exaq_hdl.emit.companions.system_rdl import texts
from exaq_hdl.shell.register_map import constant_words

PAGE = Path(__file__).resolve().parents[2] / "docs/registers.md"
SECONDS = 60
CONFIGS = {
    "contexts": SoftmaxConfig(contexts=4, max_row=64),
    "sinks": SoftmaxConfig(contexts=2, max_row=64, sink=5),
    "everything": SoftmaxConfig(
        bits=3,
        lanes=2,
        logit_format="bf16",
        contexts=3,
        max_row=64,
        window=True,
        output="codes",
        row_results="table",
        sink=0.5,
    ),
}
EVERY = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture(scope="module")
def units() -> dict[str, Unit]:
    return {
        name: Unit(config=config, emitted=emit_verilog(config, name="unit_a"), stem="unit")
        for name, config in CONFIGS.items()
    }


class Silent(MessagePrinter):
    """Takes any message for an error."""

    def print_message(self, severity, text, src_ref):
        raise AssertionError(f"{severity.name}: {text}")


def elaborated(text: str, folder: Path) -> list[RegNode]:
    """The registers, by a compiler that has nothing to say."""
    path = folder / "unit.rdl"
    path.write_text(text, encoding="utf-8")
    compiler = RDLCompiler(message_printer=Silent())
    compiler.compile_file(str(path))
    return list(compiler.elaborate().top.registers())


def page_registers() -> dict[str, tuple[int, str, str]]:
    """Address, access and word after reset, as the page has them."""
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(0x\w+)` \| `(\w+)` \| ([^|]+) \| (\d*) \|", page, re.MULTILINE)
    return {name: (int(offset, 16), access, reset) for offset, name, access, reset in rows}


def page_fields() -> dict[tuple[str, str], tuple[int, int, str]]:
    """Lowest bit, highest bit and meaning, as the page has them."""
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d:]+) \| `(\w+)` \| (.+) \|$", page, re.MULTILINE)
    return {
        (register, field): (int(bits.split(":")[-1]), int(bits.split(":")[0]), meaning)
        for register, bits, field, meaning in rows
    }


# Of a field whose register has the access: what software and hardware do with it, what a write
# does, and who wins where both act in one cycle.
PROPERTIES = {
    "read": ("r", "na", None, "sw"),
    "write": ("w", "r", None, "sw"),
    "read; any write clears": ("rw", "na", "wclr", "sw"),
}
LIVE, STICKY = ("r", "w", None, "sw"), ("rw", "na", "woclr", "hw")


def properties(field: FieldNode) -> tuple[str | None, ...]:
    found = [field.get_property(name) for name in ("sw", "hw", "onwrite", "precedence")]
    return tuple(each and each.name for each in found)


@EVERY
def test_it_says_what_the_page_says(name: str, units: dict[str, Unit], tmp_path: Path) -> None:
    (text,) = texts(units[name])
    found = {each.inst_name: each for each in elaborated(text, tmp_path)}
    page, rows = page_registers(), page_fields()
    if not CONFIGS[name].sinks:
        del rows["STATUS", "sink"]
    addresses = {register: each.absolute_address for register, each in found.items()}
    assert addresses == {register: offset for register, (offset, *_) in page.items()}
    words = constant_words(CONFIGS[name], units[name].emitted.manifest["latency"]["cycles"])
    for register, each in found.items():
        _, access, reset = page[register]
        word = None
        for field in each.fields():
            low, high, meaning = rows.pop((register, field.inst_name))
            assert (field.low, field.high) == (low, high)
            assert field.get_property("desc") == meaning
            expected = PROPERTIES.get(access) or (STICKY if low >= 8 else LIVE)
            assert properties(field) == expected
            if (value := field.get_property("reset")) is not None:
                word = (word or 0) | value << low
        assert word == words.get(register, int(reset) if reset else None)
    assert not rows


def test_text_that_leans_on_the_page_is_nowhere(units: dict[str, Unit]) -> None:
    assert not re.search(r"\b(see|above|below)\b", texts(units["everything"])[0])


def test_name_may_be_a_keyword_of_the_language(units: dict[str, Unit], tmp_path: Path) -> None:
    (text,) = texts(units["contexts"])
    for name in ("field", "addrmap", "woclr", "x"):
        assert elaborated(text.replace("unit_a", name), tmp_path)


def peakrdl(folder: Path, *arguments: str) -> None:
    """Runs clean: nothing on its error output, where warnings go."""
    done = subprocess.run(
        [sys.executable, "-m", "peakrdl", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@EVERY
def test_peakrdl_takes_it(name: str, units: dict[str, Unit], tmp_path: Path) -> None:
    (tmp_path / "unit.rdl").write_text(texts(units[name])[0], encoding="utf-8")
    outputs = {"html": "html/index.html", "uvm": "unit.sv", "ip-xact": "unit.xml"}
    for kind, made in outputs.items():
        peakrdl(tmp_path, kind, "unit.rdl", "-o", made.split("/")[0])
        assert (tmp_path / made).stat().st_size > 0


def their_macros(header: str) -> dict[str, int]:
    """What PeakRDL's header says, under the names that ours gives to the same.

    Its registers are members of a structure; a field that is the whole register has a name of its
    own, which ours has not.
    """
    body = re.search(r"^typedef struct .*?\{(.*?)^\} unit_a_t;", header, re.MULTILINE | re.DOTALL)
    found, address = {}, 0
    for register, size in re.findall(r"uint\d+_t (\w+)(?:\[(0x\w+)\])?;", body[1]):
        if not size:
            found[f"UNIT_A_{register}"] = address
        address += int(size, 16) if size else 4
    fields = re.findall(
        r"#define UNIT_A__(\w+)__(\w+)_bm (\w+)\n#define \w+_bp (\d+)\n#define \w+_bw (\d+)\n"
        r"(?:#define \w+_reset (\w+)\n)?",
        header,
    )
    assert len(fields) == header.count("_bm ")
    for register, field, mask, low, width, reset in fields:
        assert int(mask, 16) == (1 << int(width)) - 1 << int(low)
        place = f"UNIT_A_{register}"
        if width != "32":
            place += f"_{field}"
            found |= {f"{place}_MASK": int(mask, 16), f"{place}_SHIFT": int(low)}
        if reset:
            found[f"{place}_VALUE"] = int(reset, 16)
    return found


@EVERY
def test_peakrdls_header_equals_ours(name: str, units: dict[str, Unit], tmp_path: Path) -> None:
    (text,) = texts(units[name])
    (tmp_path / "unit.rdl").write_text(text, encoding="utf-8")
    peakrdl(tmp_path, "c-header", "unit.rdl", "-o", "unit.h")
    theirs = their_macros((tmp_path / "unit.h").read_text(encoding="utf-8"))
    header = c_header(CONFIGS[name], "unit_a")
    macros = re.findall(r"^#define (\w+) (0x[0-9a-f]+|\d+)u?$", header, re.MULTILINE)
    ours = {macro: int(value, 0) for macro, value in macros}
    # How long the functions wait is no register's; what is sticky, PeakRDL says in no number.
    ours.pop("UNIT_A_POLLS")
    registers = {each.inst_name: each for each in elaborated(text, tmp_path)}
    sticky = [each for each in registers["STATUS"].fields() if properties(each) == STICKY]
    assert ours.pop("UNIT_A_STATUS_STICKY") == sum(1 << each.low for each in sticky)
    # Ours is also made before the unit, whose latency is not known then; and what a register that
    # changes holds after reset is no constant.
    del theirs["UNIT_A_LATENCY_VALUE"]
    changing = [register for register, (*_, reset) in page_registers().items() if reset]
    for macro in [macro for macro in theirs if macro.endswith("_VALUE")]:
        if any(macro.startswith(f"UNIT_A_{register}_") for register in changing):
            del theirs[macro]
    assert theirs == ours
