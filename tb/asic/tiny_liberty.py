"""A tiny library of standard cells, whose numbers are chosen so that sums can be done by hand.

Capacitances are in fF, times in ns, internal energies in fJ, leakage in nW, at 1 V.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

VOLTAGE = 1.0
#: Area in um2, and capacitance of each input in fF.
AREAS = {
    "INV": 1.0,
    "BUF": 1.5,
    "NAND2": 2.0,
    "NOR2": 2.0,
    "XOR2": 4.0,
    "DFF": 10.0,
    "DFFR": 12.0,
    "TIE0": 0.5,
    "TIE1": 0.5,
    "GATE": 6.0,
}
INPUT_FF = 2.0
CLOCK_FF = 1.0
#: Of a gate's edge, in fJ, and of each input's edge of a flop's clock.
GATE_RISE, GATE_FALL = 3.0, 5.0
CLOCK_RISE, CLOCK_FALL = 7.0, 11.0
#: Of a clock's rise at which the flop's output follows: nothing, as the output's edge has it.
Q_RISE, Q_FALL = 13.0, 17.0
LEAKAGE_NW = 2.0
#: Times in ns, without a load, and what each fF of load adds.
GATE_NS, CLOCK_TO_Q_NS, SETUP_NS = 0.1, 0.2, 0.05
NS_PER_FF = 0.001

_LOADS = (0, 10, 100, 1000)  # ABC takes no fewer than three
_GATES = {
    "INV": ("!A", "A"),
    "BUF": ("A", "A"),
    "NAND2": ("!(A*B)", "AB"),
    "NOR2": ("(A+B)'", "AB"),
    "XOR2": ("A^B", "AB"),
}


def tiny_liberty(*, without: Sequence[str] = (), scale: float = 1.0, extra: str = "") -> str:
    """The file's text.

    Parameters
    ----------
    without
        Cells to leave out.
    scale
        What all delays are multiplied by, as in another corner.
    extra
        Further groups of the library.
    """
    cells = {name: _gate(name, *of, scale=scale) for name, of in _GATES.items()}
    cells["DFF"] = _flop("DFF", "", scale)
    cells["DFFR"] = _flop("DFFR", "RN", scale)
    cells["TIE0"] = _cell("TIE0", 'pin (Y) { direction : output; function : "0"; }')
    cells["TIE1"] = _cell("TIE1", 'pin (Y) { direction : output; function : "1"; }')
    cells["GATE"] = _clock_gate()
    text = "\n".join(cell for name, cell in cells.items() if name not in without)
    return _HEAD + text + extra + "\n}\n"


def write_tiny(folder: Path, name: str = "tiny.lib", **options: object) -> Path:
    """The library as a file in ``folder``."""
    path = folder / name
    path.write_text(tiny_liberty(**options), encoding="utf-8")  # type: ignore[arg-type]
    return path


_HEAD = """/* not a real { process } */
library (tiny) {
  delay_model : table_lookup;
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";
  capacitive_load_unit (1, ff);
  leakage_power_unit : "1nW";
  nom_voltage : 1.0; nom_temperature : 25; nom_process : 1;
  default_max_transition : 10;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20; slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80; slew_upper_threshold_pct_fall : 80;
  lu_table_template (delays) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.01, 1"); index_2 ("0, 10, 100, 1000");
  }
  power_lut_template (energies) {
    variable_1 : input_transition_time; variable_2 : total_output_net_capacitance;
    index_1 ("0.01, 1"); index_2 ("0, 10, 100, 1000");
  }
"""


def _cell(name: str, body: str) -> str:
    return (
        f"  cell ({name}) {{ area : {AREAS[name]}; "
        f"cell_leakage_power : {LEAKAGE_NW};\n    {body}\n  }}"
    )


def _table(kind: str, template: str, value: float, per_ff: float = 0.0) -> str:
    row = ", ".join(f"{value + load * per_ff:g}" for load in _LOADS)
    axes = f'index_1 ("0.01, 1"); index_2 ("{", ".join(map(str, _LOADS))}");'
    return f'{kind} ({template}) {{ {axes} values ("{row}", \\\n "{row}"); }}'


def _delays(value: float, scale: float = 1.0) -> str:
    return " ".join(
        [
            *(
                _table(kind, "delays", value * scale, NS_PER_FF * scale)
                for kind in ("cell_rise", "cell_fall")
            ),
            *(
                _table(kind, "delays", 0.01, NS_PER_FF)
                for kind in ("rise_transition", "fall_transition")
            ),
        ]
    )


def _energy(rise: float, fall: float) -> str:
    return f"{_table('rise_power', 'energies', rise)} {_table('fall_power', 'energies', fall)}"


def _input(name: str, more: str = "", ff: float = INPUT_FF) -> str:
    return f"pin ({name}) {{ direction : input; capacitance : {ff}; {more} }}"


def _gate(name: str, function: str, inputs: str, *, scale: float) -> str:
    sense = "" if name == "XOR2" else "timing_sense : negative_unate;"
    sense = "timing_sense : positive_unate;" if name == "BUF" else sense
    arcs = " ".join(
        f'timing () {{ related_pin : "{pin}"; {sense} {_delays(GATE_NS, scale)} }} '
        f'internal_power () {{ related_pin : "{pin}"; {_energy(GATE_RISE, GATE_FALL)} }}'
        for pin in inputs
    )
    output = (
        f'pin (Y) {{ direction : output; function : "{function}"; max_capacitance : 1000; {arcs} }}'
    )
    return _cell(name, " ".join(map(_input, inputs)) + output)


def _flop(name: str, reset: str, scale: float) -> str:
    setup = (
        'timing () { related_pin : "CK"; timing_type : setup_rising; '
        f'rise_constraint (scalar) {{ values ("{SETUP_NS}"); }} '
        f'fall_constraint (scalar) {{ values ("{SETUP_NS}"); }} }}'
    )
    # The clock's rise that moves the output costs nothing of its own.
    clock = (
        "clock : true; "
        f'internal_power () {{ when : "!(D^Q)"; {_energy(CLOCK_RISE, CLOCK_FALL)} }} '
        f'internal_power () {{ when : "D^Q"; {_energy(0, CLOCK_FALL)} }}'
    )
    clear = f'clear : "!{reset}";' if reset else ""
    return _cell(
        name,
        f'ff (IQ, IQN) {{ clocked_on : "CK"; next_state : "D"; {clear} }} '
        + _input("CK", clock, CLOCK_FF)
        + _input("D", setup)
        + (_input(reset) if reset else "")
        + 'pin (Q) { direction : output; function : "IQ"; max_capacitance : 1000; '
        + 'timing () { related_pin : "CK"; timing_type : rising_edge; '
        + f"{_delays(CLOCK_TO_Q_NS, scale)} }} "
        + f'internal_power () {{ related_pin : "CK"; {_energy(Q_RISE, Q_FALL)} }} }}',
    )


def _clock_gate() -> str:
    return _cell(
        "GATE",
        'clock_gating_integrated_cell : "latch_posedge"; '
        'statetable ("CK E", "M") { table : "L L : - : L, L H : - : H, H - : - : N"; } '
        'pin (M) { direction : internal; internal_node : "M"; } '
        + _input("CK", "clock : true; clock_gate_clock_pin : true;", CLOCK_FF)
        + _input("E", "clock_gate_enable_pin : true;")
        + "pin (Z) { direction : output; clock_gate_out_pin : true; "
        'state_function : "CK * M"; max_capacitance : 1000; '
        f'timing () {{ related_pin : "CK"; {_delays(GATE_NS)} }} '
        f'internal_power () {{ related_pin : "CK"; {_energy(GATE_RISE, GATE_FALL)} }} }}',
    )
