"""From a file to a judgement."""

import stat
from collections.abc import Callable
from pathlib import Path

from longpin.actors.policies.proposal import Proposal
from longpin.runner.conclusions import LogJudged
from longpin.runner.judge_log.problems import LogError
from longpin.runner.judge_log.scene import scene
from longpin.runner.judge_log.search import judge
from longpin.runner.judge_log.strace_lines import read_strace
from longpin.runner.judge_log.subject import LogSubject
from longpin.runner.judge_log.translated import Translated
from longpin.runner.judge_log.translation import translate_log

MOST_BYTES = 64 << 20
"""The largest log."""


def read_log(path: Path) -> Translated:
    """Read the log of a program.

    Raises:
        LogError: it cannot be used; one line of text for each mistake.

    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise LogError(f"{path}: expected a regular file")
        if about.st_size > MOST_BYTES:
            raise LogError(f"{path}: expected at most {MOST_BYTES >> 20} MiB, found {about.st_size >> 20}")
        text = path.read_bytes().decode(errors="surrogateescape")
    except OSError as error:
        raise LogError(f"{path}: {error.strerror or error}") from None
    return translate_log(read_strace(str(path), text))


def judge_log(
    translated: Translated,
    proposal: Proposal,
    *,
    seconds: float,
    break_time: float = 45.0,
    uid: int = 0,
    progress: Callable[[str], None] | None = None,
    policy_sha256: str | None = None,
) -> LogJudged:
    """Judge a log.

    Args:
        translated: the log.
        proposal: what the kernel is thought to do.
        seconds: how long that may take.
        break_time: lease-break-time of the machine, in seconds.
        uid: the user whose processes they are.
        progress: is told what is done now.
        policy_sha256: of the file of the policy.

    Raises:
        InternalError: a bug of longpin.
        KeyboardInterrupt: it was interrupted.

    """
    subject = LogSubject(translated, scene(translated, break_time=break_time), proposal, uid)
    judgement = judge(subject, seconds, progress)
    return LogJudged(
        translated.log.name,
        translated.log.lines,
        proposal.name,
        policy_sha256,
        judgement,
        len({thread.process for thread in translated.world.threads.values()}),
        translated.modelled,
        dict(translated.left_out),
        translated.ended,
    )
