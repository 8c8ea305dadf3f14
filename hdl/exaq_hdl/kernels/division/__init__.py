"""Divisions of a row's dividends by its sum, for kernels that need several of each row."""
