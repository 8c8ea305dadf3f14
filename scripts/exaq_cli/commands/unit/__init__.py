"""Commands about the unit itself: as Verilog, simulated, measured."""
