"""The studies themselves, a question each."""
