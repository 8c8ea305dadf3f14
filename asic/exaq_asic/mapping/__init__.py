"""From the unit's Verilog to gates of a library, and whose they are."""
