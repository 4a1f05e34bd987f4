"""The command ``longpin``, and ``python -m longpin``."""

from longpin.runner.commands import startup


def main() -> None:
    """Import the command line, during which Ctrl-C is no stack trace, and run it."""
    startup.begin()
    from longpin.runner.commands.cli import main as run

    run()


if __name__ == "__main__":
    main()
