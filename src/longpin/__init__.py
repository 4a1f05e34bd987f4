"""longpin: long-term pins of FS-DAX pages, and what file systems can do about them, as races that run."""


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: what that needs takes longer to import than the command line."""
    if name == "__version__":
        from importlib.metadata import version

        return version("longpin")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
