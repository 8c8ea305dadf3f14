"""Softmax by small tables: of exponentials, and of what divides them."""
