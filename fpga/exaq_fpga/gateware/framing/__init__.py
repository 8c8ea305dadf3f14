"""Frames on the line: stuffing, checks, and the messages in them."""
