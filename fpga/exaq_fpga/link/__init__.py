"""The link between a host and a board: messages, frames, rows; what both sides share."""
