"""Checks of what components are made from."""

from typing import Any, TypeVar

from exaq import Kernel, SoftmaxConfig, StreamFormat

K = TypeVar("K", bound=Kernel)


def check_config(config: SoftmaxConfig, *, contexts: bool = False) -> SoftmaxConfig:
    """``config``, which must be a configuration; with ``contexts`` one of a unit that has any.

    Raises
    ------
    TypeError
        It is no configuration.
    ValueError
        It is of a unit without contexts.
    """
    if not isinstance(config, SoftmaxConfig):
        raise TypeError(f"config must be an exaq.SoftmaxConfig, not {config!r}")
    if contexts and not config.contexts:
        raise ValueError("config must have contexts: contexts must be at least 1, not 0")
    return config


def check_format(format: StreamFormat) -> StreamFormat:
    """``format``, which must be a stream format; TypeError where it is none."""
    if not isinstance(format, StreamFormat):
        raise TypeError(f"format must be an exaq.StreamFormat, not {format!r}")
    return format


def check_kernel(kernel: Any, kind: type[K], name: str) -> K:
    """``kernel``, which must be parameters of a ``kind`` of kernel, called ``name`` in messages,
    that are settled for a stream format.

    Raises
    ------
    TypeError
        It is something else, or was not settled.
    """
    if not isinstance(kernel, kind) or kernel.unsettled:
        raise TypeError(f"kernel must be an {name} of a SoftmaxConfig, not {kernel!r}")
    return kernel
