"""EXAQ softmax in integers: configuration, tables and golden model. Needs NumPy alone."""

from exaq.config import PRESETS, SoftmaxConfig
from exaq.tables import Tables, clip_levels, paper_clip

__all__ = ["PRESETS", "SoftmaxConfig", "Tables", "clip_levels", "paper_clip"]
