"""What moves over the link's blocks in one cycle."""

from amaranth.lib import data, stream

#: An octet of a message; ``last`` ends the message.
MESSAGE_OCTET = data.StructLayout({"data": 8, "last": 1})

#: Octets of a line, which cannot be held back.
LINE = stream.Signature(8, always_ready=True)
#: Octets that wait for their taker.
OCTETS = stream.Signature(8)
#: Messages, octet by octet.
MESSAGES = stream.Signature(MESSAGE_OCTET)
