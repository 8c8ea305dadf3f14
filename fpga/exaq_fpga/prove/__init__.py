"""Proofs of what was built: bitstreams and netlists, simulated against the golden model."""
