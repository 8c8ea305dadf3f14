"""EXAQ (arXiv 2410.03185): codes of few bits, LUT_sum, one division for each level of a row."""
