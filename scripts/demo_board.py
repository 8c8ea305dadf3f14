"""Runs ``exaq demo-board``: the same options, the same results."""

import sys

from exaq_cli.main import main

if __name__ == "__main__":
    main(["demo-board", *sys.argv[1:]])
