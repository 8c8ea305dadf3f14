"""Runs ``exaq bench``: the same options, the same results."""

import sys

from exaq_cli.main import main

if __name__ == "__main__":
    main(["bench", *sys.argv[1:]])
