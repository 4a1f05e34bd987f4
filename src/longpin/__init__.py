"""longpin: long-term pins of FS-DAX pages, and what file systems can do about them, as races that run."""

from importlib.metadata import version

__version__ = version("longpin")
