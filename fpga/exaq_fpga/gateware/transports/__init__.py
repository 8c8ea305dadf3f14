"""Ways for octets between a host and a station: a UART's wires."""
