"""From a unit to files: Verilog, the manifest beside it, the C header of its registers."""
