"""Softmax by a reciprocal of the row's sum and one multiplication an element."""
