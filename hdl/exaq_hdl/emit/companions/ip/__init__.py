"""A unit as an IP of vendors' tools, and a component of VHDL."""
