"""The command line ``exaq``."""
