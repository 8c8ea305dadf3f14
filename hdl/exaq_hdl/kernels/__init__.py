"""Kernels: what a row of logits becomes, each a numeric algorithm of its own."""
