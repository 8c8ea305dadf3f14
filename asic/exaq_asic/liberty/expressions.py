"""Boolean expressions of Liberty: functions of pins, and the conditions of tables.

>>> import numpy as np
>>> from exaq_asic.liberty.expressions import Expression
>>> Expression("!(A * B) + C'").evaluate({"A": np.array([1, 1], bool),
...     "B": np.array([0, 1], bool), "C": np.array([1, 1], bool)}).tolist()
[True, False]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = Mapping[str, NDArray[np.bool_]]
_Node = Callable[[Values], Any]

_TOKEN = re.compile(r"\s*([A-Za-z_]\w*(?:\[\d+\])?|[01]|[!'()^&*|+])")
_OR, _XOR, _AND = ("+", "|"), ("^",), ("*", "&")


class Expression:
    """A Boolean expression: ``!`` and ``'`` negate, ``*``, ``&`` or a space is and, ``^`` is
    exclusive or, ``+`` or ``|`` is or, which bind in this order.

    Parameters
    ----------
    text
        The expression; ``""`` is true.

    Members
    -------
    pins : frozenset of the names in it

    Raises
    ------
    ValueError
        It is none.
    """

    def __init__(self, text: str):
        self.text = text
        self._tokens = self._split(text)
        self.pins = frozenset(
            token for token in self._tokens if token[0].isalpha() or token[0] == "_"
        )
        if not self._tokens:
            self._tokens = ["1"]
        self._root = self._either()
        if self._tokens:
            raise self._wrong()

    def evaluate(self, values: Values) -> NDArray[np.bool_]:
        """The expression of arrays of one shape; KeyError where a pin has none."""
        return np.asarray(self._root(values), np.bool_)

    def _wrong(self) -> ValueError:
        return ValueError(f"{self.text!r} is no Boolean expression of Liberty")

    def _split(self, text: str) -> list[str]:
        tokens, place = [], 0
        text = text.strip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._wrong()
            tokens.append(found[1])
            place = found.end()
        return tokens

    def _next_is(self, words: tuple[str, ...]) -> bool:
        return bool(self._tokens) and self._tokens[0] in words

    def _either(self) -> _Node:
        node = self._different()
        while self._next_is(_OR):
            self._tokens.pop(0)
            node = _both(np.logical_or, node, self._different())
        return node

    def _different(self) -> _Node:
        node = self._every()
        while self._next_is(_XOR):
            self._tokens.pop(0)
            node = _both(np.logical_xor, node, self._every())
        return node

    def _every(self) -> _Node:
        node = self._atom()
        while self._tokens and not self._next_is((*_OR, *_XOR, ")")):
            if self._next_is(_AND):
                self._tokens.pop(0)
            node = _both(np.logical_and, node, self._atom())
        return node

    def _atom(self) -> _Node:
        if not self._tokens:
            raise self._wrong()
        token = self._tokens.pop(0)
        node: _Node
        if token == "!":
            return _not(self._atom())
        if token == "(":
            node = self._either()
            if not self._next_is((")",)):
                raise self._wrong()
            self._tokens.pop(0)
        elif token in ("0", "1"):
            node = _constant(token == "1")
        elif token[0].isalpha() or token[0] == "_":
            node = _pin(token)
        else:
            raise self._wrong()
        while self._next_is(("'",)):
            self._tokens.pop(0)
            node = _not(node)
        return node


def _both(operator: Any, left: _Node, right: _Node) -> _Node:
    return lambda values: operator(left(values), right(values))


def _not(node: _Node) -> _Node:
    return lambda values: np.logical_not(node(values))


def _constant(value: bool) -> _Node:
    return lambda values: np.bool_(value)


def _pin(name: str) -> _Node:
    return lambda values: values[name]
