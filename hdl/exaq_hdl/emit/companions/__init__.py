"""Files beside the Verilog that bring a unit into other people's tools."""
