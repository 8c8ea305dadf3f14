"""The warnings of this project, which the command line shows as one line each."""


class ExaqWarning(UserWarning):
    """Something was done, but perhaps not as it was meant."""
