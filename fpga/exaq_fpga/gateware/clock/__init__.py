"""The clock of a board's design: PLLs and reset."""
