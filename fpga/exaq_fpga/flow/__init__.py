"""From text to figures and bitstreams: the tools, what they make, and what it is worth."""
