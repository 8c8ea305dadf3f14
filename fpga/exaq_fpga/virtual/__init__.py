"""A whole board without a board: its top compiled, its UART on a pseudo-terminal."""
