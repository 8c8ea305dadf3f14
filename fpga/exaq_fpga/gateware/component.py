"""Amaranth's components, as a type checker has to see them."""

from typing import TYPE_CHECKING, Any

from amaranth.lib import wiring

if TYPE_CHECKING:

    class Component(wiring.Component[Any]):
        """``amaranth.lib.wiring.Component``, whose ports are of any type.

        A component gets its ports from the signature that it is made with, at run time: a type
        checker knows none of them. And it is generic in Amaranth's stubs alone.
        """

        def __getattr__(self, name: str) -> Any: ...

else:
    Component = wiring.Component
