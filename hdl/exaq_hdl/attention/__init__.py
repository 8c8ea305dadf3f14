"""The attention head: the blocks before and behind its softmax, and the whole."""
