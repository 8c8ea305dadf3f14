"""Ways for octets between a host and a board."""
