"""Finds the unit to take for a device: measures many, and keeps those that no other one beats.

>>> from exaq_explore import Gaussian, Limits, Space, explore
>>> space = Space(kernels=("exaq", "lut"), choices={"lanes": (4,), "bits": (2,)})
>>> [unit.name for unit in space.units()]
['exaq, bits 2, lanes 4', 'lut, variant rexp, lanes 4', 'lut, variant 2d, lanes 4']

``explore`` runs on any ``concurrent.futures.Executor``: what it submits are importable functions
with plain arguments, so that processes and machines far away can do the work. space.py says which
units there are, logits.py what they are to be right on, measures.py what they cost, record.py keeps
what was measured, jobs.py hands work out, search.py decides what is worth measuring, and pareto.py
and picture.py show what is left.
"""

from exaq_explore.logits import Gaussian, Logits, Model
from exaq_explore.pareto import pareto
from exaq_explore.record import Record, RecordError
from exaq_explore.search import GOALS, Found, Limits, explore
from exaq_explore.space import Space, Unit

__all__ = [
    "GOALS",
    "Found",
    "Gaussian",
    "Limits",
    "Logits",
    "Model",
    "Record",
    "RecordError",
    "Space",
    "Unit",
    "explore",
    "pareto",
]
