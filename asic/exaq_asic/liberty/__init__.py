"""Liberty files: what a library of standard cells says of areas, functions, delays and energies."""

from exaq_asic.liberty.cells import Cell, Pin, PowerTable, TimingArc
from exaq_asic.liberty.library import Library
from exaq_asic.liberty.syntax import LibertyError

__all__ = ["Cell", "LibertyError", "Library", "Pin", "PowerTable", "TimingArc"]
