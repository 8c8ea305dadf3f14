"""The boards that there are builds for, the devices that are measured, and reports on builds."""

from __future__ import annotations

from exaq_fpga.boards.catalogue import BOARDS, BoardSpec, Capacity, Programmer, megahertz

__all__ = ["BOARDS", "BoardSpec", "Capacity", "Programmer", "megahertz"]
