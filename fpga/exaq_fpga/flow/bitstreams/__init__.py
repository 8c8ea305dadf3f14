"""A board's bitstream: its design prepared, built, timed, and written into the board."""
