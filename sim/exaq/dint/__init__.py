"""Weights of 4 bits: dINT4, and INT4 and FP4 beside it, with integer products. Needs NumPy alone.

A *code* of 4 bits stands for a *level*, a multiple of one half; a weight is its level times the
*scale* of its row, or of its group within the row. So a product with an integer activation is an
integer of half units, and a row of them is summed exactly before any scale comes in.

The format dINT, 4-bit integers of which two codes are spent on plus and minus half a step, is that
of Lee et al., Enhancing Computation Efficiency in Large Language Models through Weight and
Activation Quantization (EMNLP 2023, arXiv 2311.05161). Which codes these are, the ranges of the
other ones, ties and the sign of a scale are this project's choice: the numerics page has them all.

    >>> from exaq import dint
    >>> weights = dint.quantize([[0.5, -7.0, 6.0, 0.2]])
    >>> weights.codes.tolist(), weights.scales.tolist()
    ([[7, 8, 6, 0]], [[1.0]])
    >>> dint.dot([[2, 1, 1, 100]], weights.codes).tolist()
    [[0]]
"""

from exaq.dint.nibbles import pack, unpack
from exaq.dint.products import MOST_PRODUCT, activations, dot
from exaq.dint.weight_formats import DINT4, FP4, INT4, WEIGHT_FORMATS, WeightFormat
from exaq.dint.weights import QuantizedWeights, group_starts, quantize, scales

__all__ = [
    "DINT4",
    "FP4",
    "INT4",
    "MOST_PRODUCT",
    "WEIGHT_FORMATS",
    "QuantizedWeights",
    "WeightFormat",
    "activations",
    "dot",
    "group_starts",
    "pack",
    "quantize",
    "scales",
    "unpack",
]
