"""Proofs of what was built: bitstreams and netlists, simulated against the golden model."""

from __future__ import annotations

from exaq_fpga.prove.proof import CYCLES, Proof, prove

__all__ = ["CYCLES", "Proof", "prove"]
