"""What reports hold for: a design, whatever its comments, its spacing and its modules' names."""

from __future__ import annotations

import re

import pytest

from exaq import SoftmaxConfig
from exaq.release import as_compared
from exaq_hdl import emit_verilog
from exaq_hdl.emit.design_hash import design_hash

TEXT = """// first
module top(a, \\b.c );
  /* lint_off X */ input a;
  output \\b.c ;
  part \\part.x (.a(a), .y(\\b.c )); // a part
endmodule
module part(a, y);
  input a; output y;
  assign y = a;
endmodule
"""


def test_wording_does_not_count() -> None:
    same = [
        TEXT.replace("// first\n", "").replace(" // a part", ""),
        TEXT.replace("/* lint_off X */ ", "/* several\nlines */\n"),
        TEXT.replace("\n  ", "\n\n      "),
        re.sub(r"\bpart(?=[ (])(?!\.)", "other__part", TEXT).replace("\\other__part", "\\part"),
        TEXT.replace("module top", "module unit"),
    ]
    assert "other__part \\part.x" in same[3]
    for text in same:
        assert text != TEXT
        assert design_hash(text) == design_hash(TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("assign y = a", "assign y = ~a"),
        ("input a; output y", "input a; output z"),
        ("\\part.x (", "\\part.y ("),
        ("  part \\", "  top \\"),
        ("output \\b.c ;", "output [1:0] \\b.c ;"),
    ],
)
def test_everything_else_counts(old: str, new: str) -> None:
    assert old in TEXT
    assert design_hash(TEXT.replace(old, new)) != design_hash(TEXT)


def test_units_of_other_names_are_one_design() -> None:
    config = SoftmaxConfig(max_row=64)
    first, second = (emit_verilog(config, name=name).verilog for name in ("exaq_softmax", "mine"))
    assert design_hash(first) == design_hash(second)
    other = emit_verilog(config.replace(prob_bits=15), name="mine").verilog
    assert design_hash(other) != design_hash(second)


def test_a_release_makes_no_other_design(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SoftmaxConfig(contexts=1, lanes=1, max_row=8)

    def told_and_compared() -> tuple[str, str]:
        told = emit_verilog(config).verilog
        with as_compared():
            return told, emit_verilog(config).verilog

    told, compared = told_and_compared()
    monkeypatch.setattr("exaq.release.metadata.version", lambda _: "9.8.7")
    told_later, compared_later = told_and_compared()
    assert f"32'd{9 << 16 | 8 << 8 | 7}" in told_later
    assert design_hash(told_later) != design_hash(told)
    assert design_hash(compared_later) == design_hash(compared)
