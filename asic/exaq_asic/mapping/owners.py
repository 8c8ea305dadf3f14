"""Whose a gate is: the part of the unit whose registers or memories it works for.

Registers and arrays keep their part through mapping. A gate in between has none any more, as ABC
makes it anew; it counts to the part that most of what it drives is of, so that logic belongs to the
part at its end. Of parts with equal numbers it is the first by name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from exaq_asic.mapping.netlist import Instance, Netlist

#: The part of ports and of gates that drive nothing else.
PORTS = "top"


def with_owners(netlist: Netlist, outputs: dict[str, frozenset[str]]) -> Netlist:
    """The netlist with a part for every instance.

    Parameters
    ----------
    netlist
        A mapped unit.
    outputs
        The output pins of each module that is in it.
    """
    driver: dict[object, int] = {}
    for number, instance in enumerate(netlist.instances):
        for pin in outputs[instance.module] & instance.pins.keys():
            driver.update(dict.fromkeys(instance.pins[pin], number))
    sinks: list[list[int | None]] = [[] for _ in netlist.instances]
    for number, instance in enumerate(netlist.instances):
        for pin, bits in instance.pins.items():
            if pin not in outputs[instance.module]:
                for bit in bits:
                    if bit in driver:
                        sinks[driver[bit]].append(number)
    for port in netlist.ports:
        if port.direction == "output":
            for bit in port.bits:
                if bit in driver:
                    sinks[driver[bit]].append(None)
    parts = [instance.part for instance in netlist.instances]
    waiting = [sum(s is not None and not parts[s] for s in each) for each in sinks]
    feeds = _fed_by(netlist, outputs, driver)
    ready = [n for n, part in enumerate(parts) if not part and not waiting[n]]
    while ready:
        number = ready.pop()
        parts[number] = _most(PORTS if s is None else parts[s] for s in sinks[number])
        for source in feeds[number]:
            if not parts[source]:
                waiting[source] -= 1
                if not waiting[source]:
                    ready.append(source)
    owned: list[Instance] = [
        replace(instance, part=part or PORTS)
        for instance, part in zip(netlist.instances, parts, strict=True)
    ]
    return replace(netlist, instances=owned)


def _fed_by(
    netlist: Netlist, outputs: dict[str, frozenset[str]], driver: dict[object, int]
) -> list[list[int]]:
    """The instances that drive each one's inputs, as often as they do."""
    return [
        [
            driver[bit]
            for pin, bits in instance.pins.items()
            if pin not in outputs[instance.module]
            for bit in bits
            if bit in driver
        ]
        for instance in netlist.instances
    ]


def _most(parts: object) -> str:
    counts = Counter(parts)  # type: ignore[call-overload]
    return min(counts, key=lambda part: (-counts[part], part), default=PORTS)
