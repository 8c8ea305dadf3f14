"""Memories' arrays for timing: Liberty with a delay and a setup time, which the user states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exaq_asic.liberty import Library
from exaq_asic.mapping.arrays import MemoryArray


def array_liberty(
    arrays: Sequence[MemoryArray], library: Library, access: Mapping[str, float], setup: float
) -> str:
    """A Liberty file of the arrays.

    Parameters
    ----------
    arrays
        The arrays.
    library
        Whose units are taken, and whose inverter's input is each pin's capacitance.
    access
        From the clock's edge to what is read, by the array's module, in ns.
    setup
        How long before the edge there has to be what is written and addressed, in ns.
    """
    widths = sorted({width for array in arrays for _, _, width in array.pins() if width > 1})
    types = "\n".join(_BUS_TYPE.format(width=width, high=width - 1) for width in widths)
    capacitance = library.inverter.inputs[0].capacitance / library.picofarads
    shared = {
        "setup": setup / library.nanoseconds,
        "transition": 0.1 / library.nanoseconds,
        "capacitance": capacitance,
    }
    cells = "\n".join(
        _cell(array, shared | {"delay": access[array.module] / library.nanoseconds})
        for array in arrays
    )
    return _LIBRARY.format(
        time=f"{library.nanoseconds:g}ns",
        load=f"{library.picofarads:g}",
        voltage=library.voltage,
        types=types,
        cells=cells,
    )


def _cell(array: MemoryArray, times: dict[str, float]) -> str:
    pins = []
    for name, direction, width in array.pins():
        kind = {"clk": _CLOCK, "read_data": _OUTPUT}.get(name, _INPUT).format(**times)
        bus = f"bus ({name}) {{ bus_type : w{width};" if width > 1 else f"pin ({name}) {{"
        pins.append(f"    {bus} direction : {direction};\n{kind}    }}")
    return f"  cell ({array.module}) {{\n    area : 0;\n" + "\n".join(pins) + "\n  }"


_LIBRARY = """library (arrays) {{
  delay_model : table_lookup;
  time_unit : "{time}";
  capacitive_load_unit ({load}, pf);
  voltage_unit : "1V";
  current_unit : "1mA";
  nom_voltage : {voltage};
  nom_temperature : 25;
  nom_process : 1;
  input_threshold_pct_rise : 50;
  input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50;
  output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20;
  slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80;
  slew_upper_threshold_pct_fall : 80;
{types}
{cells}
}}
"""
_BUS_TYPE = """  type (w{width}) {{
    base_type : array;
    data_type : bit;
    bit_width : {width};
    bit_from : {high};
    bit_to : 0;
  }}"""
_CLOCK = "      clock : true;\n      capacitance : {capacitance:g};\n"
_INPUT = """      capacitance : {capacitance:g};
      timing () {{
        related_pin : "clk";
        timing_type : setup_rising;
        rise_constraint (scalar) {{ values ("{setup:g}"); }}
        fall_constraint (scalar) {{ values ("{setup:g}"); }}
      }}
"""
_OUTPUT = """      timing () {{
        related_pin : "clk";
        timing_type : rising_edge;
        timing_sense : non_unate;
        cell_rise (scalar) {{ values ("{delay:g}"); }}
        cell_fall (scalar) {{ values ("{delay:g}"); }}
        rise_transition (scalar) {{ values ("{transition:g}"); }}
        fall_transition (scalar) {{ values ("{transition:g}"); }}
      }}
"""
