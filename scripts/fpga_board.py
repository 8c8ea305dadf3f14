"""Builds an FPGA board's bitstream, flashes it, and streams test vectors through the board.

    python scripts/fpga_board.py boards                      what boards there are
    python scripts/fpga_board.py build icebreaker            the bitstream
    python scripts/fpga_board.py program icebreaker          the bitstream into the board
    python scripts/fpga_board.py stream logits.npy --port /dev/ttyUSB1 -o probs.npy

Each is the command of ``exaq`` of that name: the same options, the same results. --help behind it
describes it.
"""

import sys

from exaq_cli.main import main

STEPS = ("boards", "build", "program", "stream")

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments in ([], ["--help"]):
        print(__doc__, end="")
        sys.exit()
    if arguments[0] not in STEPS:
        sys.exit(f"fpga_board: error: {arguments[0]} is none of {', '.join(STEPS)}")
    main(arguments)
