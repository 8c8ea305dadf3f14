"""What is read of Liberty files, and what of them is refused."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest
from tiny_liberty import AREAS, INPUT_FF, LEAKAGE_NW, tiny_liberty, write_tiny

from exaq_asic.liberty import LibertyError, Library
from exaq_asic.liberty.expressions import Expression
from exaq_asic.liberty.lookup_table import LookupTable
from exaq_asic.liberty.syntax import parse


def test_cells_have_what_the_file_says(tmp_path: Path) -> None:
    library = Library.read(write_tiny(tmp_path))
    assert {name: cell.area for name, cell in library.cells.items()} == AREAS
    assert (library.name, library.voltage, library.picofarads) == ("tiny", 1.0, 1e-3)
    kinds = {name: cell.kind for name, cell in library.cells.items()}
    assert kinds == {
        **dict.fromkeys(("INV", "BUF", "NAND2", "NOR2", "XOR2"), "gate"),
        **dict.fromkeys(("DFF", "DFFR"), "flop"),
        **dict.fromkeys(("TIE0", "TIE1"), "tie"),
        "GATE": "clock gate",
    }
    assert library.cells["INV"].leakage == pytest.approx(LEAKAGE_NW * 1e-9)
    assert library.cells["NAND2"].pins["B"].capacitance == pytest.approx(INPUT_FF * 1e-3)
    assert [arc.related for arc in library.cells["NAND2"].pins["Y"].timing] == [("A",), ("B",)]
    assert library.cells["DFF"].pins["CK"].clock
    assert library.nand2.name == "NAND2"
    assert (library.inverter.name, library.flop.name) == ("INV", "DFF")
    assert (library.tie(0), library.tie(1)) == (("TIE0", "Y"), ("TIE1", "Y"))
    assert library.clock_gate is not None
    assert library.clock_gate.clock_gate == {"clock": "CK", "enable": "E", "out": "Z"}


def test_compressed_file_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "tiny.lib.gz"
    path.write_bytes(gzip.compress(tiny_liberty().encode()))
    plain = Library.read(write_tiny(tmp_path))
    assert Library.read(path).text == plain.text
    assert Library.read(path).sha256 != plain.sha256


@pytest.mark.parametrize(
    "cell",
    [
        'cell (EN) { ff (I, J) { clocked_on : "C"; next_state : "(D&E)|(I&!E)"; } }',
        "cell (NO) { dont_use : true; }",
        "cell (LS) { is_level_shifter : true; }",
        "cell (ISO) { pin (A) { always_on : true; } }",
        "cell (PROBE_8) { }",
        "cell (dlygate_1) { }",
    ],
)
def test_cells_for_other_ends_are_left(cell: str, tmp_path: Path) -> None:
    library = Library.read(write_tiny(tmp_path, extra=cell))
    assert len(library.not_for_logic) == 1
    assert set(library.cells) - set(library.not_for_logic) == set(AREAS)


@pytest.mark.parametrize(
    ("cell", "ask", "message"),
    [
        ("NAND2", "nand2", "tiny.lib has no NAND of two inputs, which the flow needs"),
        ("INV", "inverter", "tiny.lib has no inverter, which the flow needs"),
    ],
)
def test_missing_cells_are_named(cell: str, ask: str, message: str, tmp_path: Path) -> None:
    library = Library.read(write_tiny(tmp_path, without=[cell]))
    with pytest.raises(LibertyError) as error:
        getattr(library, ask)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.lib is no Liberty file: it does not begin with library (...)"),
        ("module m; endmodule", "x.lib is no Liberty file: it does not begin with library (...)"),
        ("library (a) { cell (b) { ", "x.lib is cut off: cell ('b',) has no end"),
        ("library (a) { } }", "x.lib is no Liberty file: it closes more than it opened"),
        ("library (a) { ? }", "x.lib is no Liberty file: nothing can be made of '? }'"),
        ("library (a) { }", "x.lib names no voltage: nom_voltage is missing"),
        (
            'library (a) { nom_voltage : 1; time_unit : "1s2"; }',
            "x.lib: '1s2' is no unit of Liberty",
        ),
        (
            'library (a) { nom_voltage : 1; cell (b) { pin (Y) { function : "A&"; } } }',
            "x.lib, cell ('b',): 'A&' is no Boolean expression of Liberty",
        ),
        (
            "library (a) { nom_voltage : 1; cell (b) { pin (Y) { timing () { cell_rise (t) { "
            'index_1 ("1, 2"); values ("1, 2, 3"); } } } } }',
            "x.lib, cell ('b',): a table has 3 values for 2 transitions and 1 loads",
        ),
    ],
)
def test_what_is_no_library_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.lib"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LibertyError) as error:
        Library.read(path)
    assert str(error.value) == message


@pytest.mark.parametrize("octets", [b"\x1f\x8b\x08", b"no gzip", b"\xff\xfe"])
def test_damaged_files_are_refused(octets: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.lib.gz"
    path.write_bytes(octets)
    with pytest.raises(LibertyError, match=r"^x\.lib\.gz is no Liberty file: "):
        Library.read(path)


def test_comments_strings_and_broken_lines() -> None:
    text = 'library(a){ // one\n  b : "/* no comment */"; c ("1, \\\n2", x);\n d : e\n f { } }'
    with pytest.raises(LibertyError, match="nothing can be made of"):
        parse(text, "x.lib")
    root = parse(text.replace(" f { }", " f () { g : 1 }"), "x.lib")
    assert root.text("b") == "/* no comment */"
    assert root.attributes["c"] == ("1,  2", "x")
    assert root.text("d") == "e"
    assert [group.text("g") for group in root.of_kind("f")] == ["1"]


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("!A", "not a"),
        ("A'", "not a"),
        ("!(A B)", "not (a and b)"),
        ("A*B + !C", "(a and b) or (not c)"),
        ("A&B|C", "(a and b) or c"),
        ("A + B ^ C", "a or (b != c)"),
        ("A ^ B C", "a != (b and c)"),
        ("(A+B)' C", "(not (a or b)) and c"),
        ("!!A & 1", "a"),
        ("(A * 0) + B''", "b"),
    ],
)
def test_expressions(text: str, python: str) -> None:
    cases = list(itertools.product([False, True], repeat=3))
    values = {name: np.array([case[k] for case in cases]) for k, name in enumerate("ABC")}
    given = np.broadcast_to(Expression(text).evaluate(values), len(cases))
    wanted = [bool(eval(python, {}, dict(zip("abc", case, strict=True)))) for case in cases]
    assert given.tolist() == wanted


@pytest.mark.parametrize("text", ["A +", "(A", "A)", "A % B", "'", "!"])
def test_no_expressions(text: str) -> None:
    with pytest.raises(ValueError, match="is no Boolean expression of Liberty"):
        Expression(text)


def _table(text: str, template: str = "") -> LookupTable | None:
    root = parse(f"library (l) {{ {template} }}", "x")
    templates = {group.arguments[0]: group for group in root.groups}
    (group,) = parse(f"library (l) {{ {text} }}", "x").groups
    return LookupTable.read(group, templates)


def test_tables_are_linear_between_their_places_and_beyond() -> None:
    table = LookupTable((1.0, 3.0), (0.0, 10.0), ((0.0, 10.0), (4.0, 14.0)))
    for transition, load in itertools.product((0.0, 1.0, 2.5, 3.0, 5.0), (-1.0, 0.0, 4.0, 12.0)):
        assert table.at(transition=transition, load=load) == pytest.approx(
            2 * (transition - 1) + load
        )


def test_axes_come_in_either_order() -> None:
    swapped = (
        "lu_table_template (t) { variable_1 : total_output_net_capacitance; "
        "variable_2 : input_net_transition; }"
    )
    table = _table(
        'cell_rise (t) { index_1 ("1, 2"); index_2 ("5, 6, 7"); values ("1,2,3", "4,5,6"); }',
        swapped,
    )
    assert table == LookupTable((5.0, 6.0, 7.0), (1.0, 2.0), ((1.0, 4.0), (2.0, 5.0), (3.0, 6.0)))


def test_scalars_and_foreign_tables() -> None:
    assert _table('power (scalar) { values ("4"); }') == LookupTable((0.0,), (0.0,), ((4.0,),))
    foreign = "lu_table_template (t) { variable_1 : output_voltage; }"
    assert _table('rise_constraint (t) { index_1 ("1, 2"); values ("1, 2"); }', foreign) is None
