"""What was built, read back as Verilog with models of the vendors' cells."""
