"""Two units of different kinds in one design, round LiteX's interconnect, crossing and adapters."""
