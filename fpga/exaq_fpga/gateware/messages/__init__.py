"""What messages ask for, and what answers them."""
