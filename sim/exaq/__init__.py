"""EXAQ softmax in integers: configuration, tables and golden model. Needs NumPy alone."""

from exaq import attention, dint, metrics, reference
from exaq.calibration import calibrate, share_bits
from exaq.config import PRESETS, SoftmaxConfig
from exaq.formats import (
    causal_windows,
    length_mask,
    logits_to_integers,
    probabilities_to_float,
    round_logits,
)
from exaq.kernels import KERNELS, Baps, Exaq, Kernel, Lut, Multiply, Shift, Softermax
from exaq.masks import MaskWarning, live_addends, live_scores
from exaq.model import beat_references, quantize, row_results, softmax
from exaq.notices import ExaqWarning
from exaq.row_results import WEIGHT_FRAC, MergedRows, RowResults, merge
from exaq.stream_format import StreamFormat
from exaq.table_file import TableFile, TableSet
from exaq.tables import Tables, clip_levels, paper_clip

__all__ = [
    "KERNELS",
    "PRESETS",
    "WEIGHT_FRAC",
    "Baps",
    "Exaq",
    "ExaqWarning",
    "Kernel",
    "Lut",
    "MaskWarning",
    "MergedRows",
    "Multiply",
    "RowResults",
    "Shift",
    "Softermax",
    "SoftmaxConfig",
    "StreamFormat",
    "TableFile",
    "TableSet",
    "Tables",
    "attention",
    "beat_references",
    "calibrate",
    "causal_windows",
    "clip_levels",
    "dint",
    "length_mask",
    "live_addends",
    "live_scores",
    "logits_to_integers",
    "merge",
    "metrics",
    "paper_clip",
    "probabilities_to_float",
    "quantize",
    "reference",
    "round_logits",
    "row_results",
    "share_bits",
    "softmax",
]
