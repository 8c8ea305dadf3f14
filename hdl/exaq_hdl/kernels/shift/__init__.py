"""Softmax of powers of two: shifts and adds in the place of multiplications."""
