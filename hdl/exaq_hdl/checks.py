"""Checks of what components are made from."""

from typing import Any

from exaq import SoftmaxConfig


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


def check_integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """``value`` of parameter ``name``, which must be an integer in ``low`` .. ``high``.

    Raises
    ------
    TypeError
        It is no integer.
    ValueError
        It is out of range. Without ``high`` there is no upper bound.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < low and high is None:
        raise ValueError(f"{name} must be at least {low}, not {value}")
    if high is not None and not low <= value <= high:
        raise ValueError(f"{name} must be in {low}..{high}, not {value}")
    return value
