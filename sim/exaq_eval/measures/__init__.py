"""Figures of a softmax: of the attention that it computes, and of the task of its model."""
