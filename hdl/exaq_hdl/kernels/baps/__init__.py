"""BAPS (arXiv 2602.02071): 8-bit floating-point exponentials in base 2, in one pass."""
