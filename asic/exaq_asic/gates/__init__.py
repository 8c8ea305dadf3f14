"""The mapped unit simulated: its gates give the golden model's bits, or are refused."""
