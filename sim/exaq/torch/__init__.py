"""EXAQ softmax in PyTorch, and inside Transformers models. Needs the extra ``torch``."""

try:
    import torch as _torch
    import transformers as _transformers
except ModuleNotFoundError as error:
    if error.name not in ("torch", "transformers"):
        raise
    raise ImportError(
        f"exaq.torch needs {error.name}; install it by: pip install 'exaq-softmax[torch]'"
    ) from error

from exaq.torch.layers import PartialModelWarning, attention, set_tables
from exaq.torch.model import softmax
from exaq.torch.modules import attention_layers, unswitched_layers
from exaq.torch.recording import Recording, record

__all__ = [
    "PartialModelWarning",
    "Recording",
    "attention",
    "attention_layers",
    "record",
    "set_tables",
    "softmax",
    "unswitched_layers",
]

del _torch, _transformers
