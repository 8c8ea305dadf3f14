"""What command lines say of a configuration."""
