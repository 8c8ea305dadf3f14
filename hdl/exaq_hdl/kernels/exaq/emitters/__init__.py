"""The last blocks of EXAQ, one for each place that a row's p-table can have."""
