"""Command lines that people paste into a shell."""

import shlex


def command(*words: str) -> str:
    """Return a command line to paste into a shell."""
    return shlex.join(["longpin", *words])


def replay_command(trace: str, policy: str) -> str:
    """Return the command that replays a trace of a policy, as the policy is named everywhere."""
    from longpin.actors.policies import name_in_file  # here, so that a help text need not import all policies

    source = name_in_file(policy)
    options = ["--policy", source] if source else []
    return command("replay", *options, "--", trace) if trace.startswith("-") else command("replay", trace, *options)
