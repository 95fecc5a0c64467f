"""How a command says that its run failed."""


class Failed(Exception):
    """The run failed for a reason that the message explains: exit status 1."""
