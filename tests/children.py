"""Child processes of tests."""

import signal


def heed_sigint() -> None:
    """Give SIGINT its default action: the ``preexec_fn`` of a child that is to be interrupted.

    A suite that is started with nohup, or with ``&`` by a script, ignores SIGINT, and so would its children.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
