"""A SoC whose processor has rows of real logits go through the unit; see ``__main__``."""
