"""What a board has round the softmax unit: link, clock, top."""
