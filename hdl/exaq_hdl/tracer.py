"""Names of signals and submodules in newer releases of Python.

Amaranth names a signal after the variable that it is stored in, which it finds in the bytecode
behind the call. Python 3.13 stores and loads two variables in one instruction, which Amaranth
0.5.10 does not know: it would call many signals ``$signal``, and the text of a unit would depend
on the release of Python.
"""

import dis
import functools
import sys
from types import CodeType
from typing import Any

from amaranth import tracer

# Typed in part.
_tracer: Any = tracer

_CALLS = {"CALL", "CALL_KW", "CALL_FUNCTION_EX"}
_STORES = {"STORE_NAME", "STORE_ATTR", "STORE_FAST", "STORE_DEREF"}
_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_ATTR", "LOAD_FAST", "LOAD_DEREF", "BUILD_LIST", "COPY"}
_LOADS |= {"LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"}
# Of two variables the first one is what is stored in first.
_PAIRS = {"STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST"}
_RAISE = object()


def bridge_tracer() -> None:
    """Make Amaranth find the same names in every release of Python.

    Where Python has no instruction for two variables, Amaranth's own function stays.
    """
    if not _PAIRS.isdisjoint(dis.opmap):
        _tracer.get_var_name = get_var_name


def get_var_name(depth: int = 2, default: Any = _RAISE) -> Any:
    """As ``amaranth.tracer.get_var_name``, but for instructions on two variables.

    Parameters
    ----------
    depth
        Frames between this one and the one whose call is looked at.
    default
        What to give where the result of the call is not stored.

    Raises
    ------
    amaranth.tracer.NameNotFound
        The result is not stored, and no ``default`` is given.
    """
    frame = sys._getframe(depth)
    found = _name_behind(frame.f_code, frame.f_lasti)
    if found is None and default is _RAISE:
        raise _tracer.NameNotFound
    return default if found is None else found


@functools.cache
def _name_behind(code: CodeType, offset: int) -> str | None:
    """The variable that gets the result of the call at ``offset``, or None."""
    # The offset may be that of the call's cache, which follows it.
    *_, call = (each for each in _instructions(code) if each.offset <= offset)
    if call.opname not in _CALLS:
        return None
    for each in _instructions(code):
        if each.offset <= call.offset:
            continue
        if each.opname in _PAIRS:
            return str(each.argval[0])
        if each.opname in _STORES:
            return str(each.argval)
        if each.opname not in _LOADS:
            break
    return None


@functools.cache
def _instructions(code: CodeType) -> list[dis.Instruction]:
    return [each for each in dis.get_instructions(code) if each.opname != "EXTENDED_ARG"]
