"""The tables of EXAQ: as constants, or in banks that are loaded while the unit runs."""
