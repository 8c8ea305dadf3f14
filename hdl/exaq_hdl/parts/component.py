"""Amaranth's components, as a type checker has to see them."""

from typing import TYPE_CHECKING, Any, TypeAlias

from amaranth.lib import wiring

#: The interface of a stream, whose members exist at run time only.
Stream: TypeAlias = Any

if TYPE_CHECKING:

    class Component(wiring.Component[Any]):
        """``amaranth.lib.wiring.Component``, whose ports are of any type.

        A component gets its ports from the signature that it is made with, at run time: a type
        checker knows none of them. And it is generic in Amaranth's stubs alone.
        """

        def __getattr__(self, name: str) -> Any: ...

else:
    Component = wiring.Component
