"""Tables of Liberty over the transition of an input and the load of an output.

>>> from exaq_asic.liberty.lookup_table import LookupTable
>>> table = LookupTable((0.0, 1.0), (0.0, 2.0), ((1.0, 3.0), (2.0, 4.0)))
>>> table.at(transition=0.5, load=1.0)
2.5
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exaq_asic.liberty.syntax import Group

_TRANSITIONS = ("input_net_transition", "input_transition_time", "related_pin_transition")
# Of setup times the data's transition stands in the load's place.
_LOADS = (
    "total_output_net_capacitance",
    "equal_or_opposite_output_net_capacitance",
    "constrained_pin_transition",
)


@dataclass(frozen=True)
class LookupTable:
    """Values over transitions and loads, in the file's units; either axis may have one place.

    Members
    -------
    transitions, loads : places of rows and columns, ascending
    values : a row for each transition, of a value for each load
    """

    transitions: tuple[float, ...]
    loads: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    def at(self, *, transition: float, load: float) -> float:
        """The value between the nearest places, linear in both; beyond the last ones, too."""
        low, share = _place(self.transitions, transition)
        rows = [_along(self.values[low], self.loads, load)]
        if share:
            rows.append(_along(self.values[low + 1], self.loads, load))
            return rows[0] + share * (rows[1] - rows[0])
        return rows[0]

    @classmethod
    def read(cls, group: Group, templates: Mapping[str, Group]) -> LookupTable | None:
        """The table in a group such as ``cell_rise (template)``; None: over other variables.

        Raises
        ------
        ValueError
            Its numbers are none, or as many as its axes do not ask for.
        """
        template = templates.get(group.arguments[0] if group.arguments else "")
        values = [_numbers(row) for row in group.attributes.get("values", ())]
        axes: dict[str, tuple[float, ...]] = {}
        for number in ("1", "2", "3"):
            index = group.attributes.get(f"index_{number}")
            if index is None and template is not None:
                index = template.attributes.get(f"index_{number}")
            if index is None:
                continue
            variable = "" if template is None else template.text(f"variable_{number}")
            if not variable:
                variable = (*_TRANSITIONS[:1], *_LOADS[:1], "")[int(number) - 1]
            axes[variable] = _numbers(" ".join(index))
        flat = tuple(value for row in values for value in row)
        if len(flat) == 1:
            return cls((0.0,), (0.0,), ((flat[0],),))
        transitions = next((axes[name] for name in _TRANSITIONS if name in axes), None)
        loads = next((axes[name] for name in _LOADS if name in axes), None)
        if len(axes) > sum(axis is not None for axis in (transitions, loads)):
            return None
        load_first = bool(loads and transitions and next(iter(axes)) in _LOADS)
        transitions, loads = transitions or (0.0,), loads or (0.0,)
        if len(flat) != len(transitions) * len(loads):
            raise ValueError(
                f"a table has {len(flat)} values for {len(transitions)} transitions and "
                f"{len(loads)} loads"
            )
        if load_first:
            columns = [flat[k :: len(transitions)] for k in range(len(transitions))]
            return cls(transitions, loads, tuple(columns))
        width = len(loads)
        rows = tuple(flat[k : k + width] for k in range(0, len(flat), width))
        return cls(transitions, loads, rows)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.replace(",", " ").split())


def _place(axis: Sequence[float], value: float) -> tuple[int, float]:
    """The place below ``value`` and how far it is to the next, as a share."""
    if len(axis) == 1:
        return 0, 0.0
    low = min(max(bisect_right(axis, value) - 1, 0), len(axis) - 2)
    return low, (value - axis[low]) / (axis[low + 1] - axis[low])


def _along(row: Sequence[float], axis: Sequence[float], value: float) -> float:
    low, share = _place(axis, value)
    return row[low] + share * (row[low + 1] - row[low]) if share else row[low]
