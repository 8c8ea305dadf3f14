"""Tables as constants of the design."""
