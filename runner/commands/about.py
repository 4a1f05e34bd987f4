"""The option ``--version``: longpin's version, and those of what a trace, or what is kept, depends on.

A trace is written by msgpack, its header is read by cattrs, its arrivals are delivered by pykka's actors; whether an
interpreter does the same is what tests on several of them show. A bug report needs all of it.
"""

from collections.abc import Iterator

import click

PACKAGES = ("pykka", "msgpack", "cattrs")


def version_lines() -> Iterator[str]:
    """Yield one line a thing, its name first."""
    import platform
    from importlib.metadata import version

    from longpin.messages.trace import FORMAT
    from longpin.runner.exploration.checkpoint import FORMAT as CHECKPOINT
    from longpin.runner.failures.store import NUMBER

    yield f"longpin, version {version('longpin')}"
    yield f"trace format {FORMAT}, failure format {NUMBER}, checkpoint format {CHECKPOINT}"
    yield f"python {platform.python_version()} ({platform.python_implementation()}), {platform.system()} " + " ".join(
        (platform.release(), platform.machine())
    )
    for package in PACKAGES:
        yield f"{package} {version(package)}"


def show_versions(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    """Print the versions and end: the callback of the option."""
    if wanted and not ctx.resilient_parsing:
        from longpin.runner.commands.terminal import output, print_lines

        with output():
            print_lines("\n".join(version_lines()))
        ctx.exit()
