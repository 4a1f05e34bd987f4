"""What is raised where a run cannot be shown in some form."""


class CannotShowError(Exception):
    """A run cannot be shown in some form; the text is the line to print."""
