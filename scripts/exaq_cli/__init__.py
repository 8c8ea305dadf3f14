"""The command line ``exaq``: one module a command."""
