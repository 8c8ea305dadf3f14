"""Tables loaded at run time, as accesses to the unit's registers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from exaq import SoftmaxConfig, Tables
from exaq_hdl.shell.register_map import REGISTERS

#: A context, and the tables that it gets.
Load = tuple[int, Tables]

# struct Access of the driver.
ACCESS = np.dtype([("kind", "u4"), ("address", "u4"), ("word", "u4"), ("bad", "u4")])
_WRITE, _WAIT = 0, 1

_STATUS = REGISTERS["STATUS"]
_ERRORS = [field for field in _STATUS.fields if field.sticky and field.name != "done"]


def accesses(config: SoftmaxConfig, loads: Sequence[Load]) -> NDArray[np.void]:
    """Accesses that load tables, one load after the other, each seen to its end.

    A write has the ``word`` to write. A wait reads until a bit of ``word`` is set, and no bit of
    ``bad`` may be set with it.

    Raises
    ------
    TypeError, ValueError
        As ``SoftmaxConfig.load_words``.
    """
    script = [access for load in loads for access in _load(config, *load)]
    return np.array(script, ACCESS)


def _load(
    config: SoftmaxConfig, context: int, tables: Tables
) -> Iterator[tuple[int, int, int, int]]:
    begin, *words = (word % 2**32 for word in config.load_words(context, tables))
    sticky = _STATUS.mask(sticky=True)
    yield _WAIT, _STATUS.offset, _STATUS.field("ready").mask, 0
    yield _WRITE, _STATUS.offset, sticky, 0
    yield _WRITE, REGISTERS["LOAD_BEGIN"].offset, begin, 0
    for word in words:
        yield _WRITE, REGISTERS["LOAD_WORD"].offset, word, 0
    yield _WAIT, _STATUS.offset, sticky, sum(field.mask for field in _ERRORS)


def load_of(loads: Sequence[Load], count: int, done: int) -> Load:
    """The load that is under way when ``done`` of ``count`` accesses are."""
    return loads[done * len(loads) // count]


def reasons(status: int) -> str:
    """The errors that a STATUS word holds."""
    return ", ".join(field.name for field in _ERRORS if status & field.mask)


def loaded(config: SoftmaxConfig, loads: Sequence[Load]) -> SoftmaxConfig:
    """``config`` with the tables that its contexts hold after ``loads``; errors as ``accesses``."""
    if not loads:
        return config
    each = list(config.context_tables) if config.contexts else []
    for context, tables in loads:
        config.load_words(context, tables)
        each[context] = tables
    return config.replace(context_tables=tuple(each))
