"""What synthesis leaves: netlists, read, changed and counted."""
