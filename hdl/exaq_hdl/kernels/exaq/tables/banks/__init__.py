"""Banks of tables, loaded while the unit runs: one for each context, and a spare one."""
