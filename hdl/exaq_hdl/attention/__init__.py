"""The attention head's own blocks: what stands before and behind the softmax."""
