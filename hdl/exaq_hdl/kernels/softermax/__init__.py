"""Softermax (arXiv 2103.09301): base 2 by linear pieces, in one pass over the row."""
