"""EXAQ softmax in PyTorch, and inside Transformers models. Needs the extra ``torch``."""

from exaq.extras import needing

with needing("exaq.torch"):
    from exaq.torch.layers import attention, attention_layers, set_tables
    from exaq.torch.model import softmax
    from exaq.torch.recording import Recording, record

__all__ = ["Recording", "attention", "attention_layers", "record", "set_tables", "softmax"]
