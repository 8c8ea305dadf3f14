"""EXAQ softmax in PyTorch, and inside Transformers models. Needs the extra ``torch``."""

from exaq.extras import needing

with needing("exaq.torch"):
    import torch as _torch
    import transformers as _transformers

    from exaq.torch.layers import PartialModelWarning, attention, set_tables
    from exaq.torch.learned_tables import LearnedTables
    from exaq.torch.linears import QuantizedLinears, quantize_linears
    from exaq.torch.model_calibration import calibrate
    from exaq.torch.modules import attention_layers, unswitched_layers
    from exaq.torch.recording import Recording, record
    from exaq.torch.straight_through import softmax
    from exaq.torch.table_tuning import tune
    from exaq.torch.training import learn_tables
    from exaq.torch.uncalibrated import Uncalibrated

__all__ = [
    "LearnedTables",
    "PartialModelWarning",
    "QuantizedLinears",
    "Recording",
    "Uncalibrated",
    "attention",
    "attention_layers",
    "calibrate",
    "learn_tables",
    "quantize_linears",
    "record",
    "set_tables",
    "softmax",
    "tune",
    "unswitched_layers",
]

del _torch, _transformers
