"""Blocks of kernels of one pass to base 2, whose elements are relative to rising references."""
