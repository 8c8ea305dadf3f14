"""How fast a mapped unit is: OpenSTA where it is installed, else ABC's own estimate."""
