"""Reading logs of strace: values, lines, calls that stand on two lines, calls that signals interrupted."""

import re

import pytest

from longpin.runner.judge_log.problems import LogError
from longpin.runner.judge_log.strace_lines import NEVER, LoggedCall, LoggedEnd, LoggedSignal, read_strace
from longpin.runner.judge_log.strace_values import Array, Described, LoggedText, Struct, Value, ValueReader, Word
from longpin.runner.judge_log.threads import read_threads
from longpin.runner.judge_log.words import number, seconds, signal_of, signal_set


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x7f", Word("0x7f")),
        ("O_RDWR|O_CREAT", Word("O_RDWR|O_CREAT")),
        ("8192*1024", Word("8192*1024")),
        ("0x4d /* F_??? */", Word("0x4d")),
        (r'"a\n\"\0\377\x41"', LoggedText(b'a\n"\0\xffA')),
        ('"abc"...', LoggedText(b"abc", whole=False)),
        ("3</tmp/f>", Described("3", "/tmp/f")),
        ("3</tmp/f>(deleted)", Described("3", "/tmp/f", deleted=True)),
        (r"3</tmp/a\76b>", Described("3", "/tmp/a>b")),
        ("1</dev/null<char 1:3>>", Described("1", "/dev/null<char 1:3>")),
        ("4<UNIX-STREAM:[1->2]>", Described("4", "UNIX-STREAM:[1->2]")),
        ('4<UNIX:[7,@"/a/b"]>', Described("4", 'UNIX:[7,@"/a/b"]')),
        ("AT_FDCWD</tmp>", Described("AT_FDCWD", "/tmp")),
        ("[]", Array(())),
        ("[USR1 RT_2]", Array((Word("USR1 RT_2"),))),
        ("~[KILL STOP]", Array((Word("KILL STOP"),), inverted=True)),
        ("{st_mode=S_IFREG|0644, st_size=3, ...}", Struct({"st_mode": Word("S_IFREG|0644"), "st_size": Word("3")})),
        ("{a=1, b=[2, {c=3}]}", Struct({"a": Word("1"), "b": Array((Word("2"), Struct({"c": Word("3")})))})),
        ("{a=1, b=2} => {b=[7]}", Struct({"a": Word("1"), "b": Array((Word("7"),))})),
        ("[3] => [4]", Array((Word("4"),))),
        ("flags=CLONE_VM|SIGCHLD", Struct({"flags": Word("CLONE_VM|SIGCHLD")})),
        (
            "[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]",
            Array((Struct({"0": Word("WIFEXITED(s) && WEXITSTATUS(s) == 3")}),)),
        ),
    ],
)
def test_a_value_is_what_strace_means(text: str, value: Value) -> None:
    reader = ValueReader(f"{text}, 5) = 0")
    assert reader.arguments() == ((value, Word("5")), True)
    assert reader.rest == " = 0"


def test_numbers_are_those_of_linux() -> None:
    assert number(Word("O_RDWR|O_CREAT|0x80")) == 0o2 | 0o100 | 0x80
    assert number(Word("0666")) == 0o666
    assert number(Word("8192*1024")) == 8 << 20
    assert number(Described("-1", "x")) == -1
    assert signal_of(Word("SIGRT_2")) == 34
    assert signal_of(Word("SIGRTMIN")) == 32
    assert signal_set(Array((Word("USR1 RTMIN RT_1"),))) == {10, 32, 33}
    assert signal_set(Array((Word("KILL"),), inverted=True)) == set(range(1, 65)) - {9}
    assert seconds(Struct({"tv_sec": Word("1"), "tv_nsec": Word("500000000")})) == 1.5
    assert seconds(Word("NULL")) is None
    with pytest.raises(LogError, match="expected a number or known names, found 'O_WHAT'"):
        number(Word("O_WHAT"))


HEAD = "1795940132"


def log(*lines: str) -> str:
    """Return a log: each line is a process and what strace prints behind the time."""
    made = []
    for n, line in enumerate(lines):
        tid, rest = line.split(" ", 1)
        made.append(f"{tid} {HEAD}.{n:06} {rest}")
    return "\n".join(made) + "\n"


def test_a_call_that_stands_on_two_lines_is_one() -> None:
    found = read_strace(
        "log",
        log(
            '7 openat(AT_FDCWD</tmp>, "/tmp/f", O_WRONLY <unfinished ...>',
            "8 wait4(-1,  <unfinished ...>",
            "7 <... openat resumed>) = 4</tmp/f> <0.000090>",
            "8 <... wait4 resumed>NULL, 0, NULL) = 7 <0.1>",
            "7 fcntl(4</tmp/f>, F_GETLEASE) = 0x2 (F_UNLCK) <0.000007>",
        ),
    )
    opened, waited, asked = found.entries
    assert isinstance(opened, LoggedCall)
    assert (opened.begins, opened.ends, opened.value, opened.made) == (1, 3, 4, Described("4", "/tmp/f"))
    assert isinstance(waited, LoggedCall)
    assert (waited.begins, waited.ends, len(waited.args)) == (2, 4, 4)
    assert isinstance(asked, LoggedCall)
    assert (asked.value, asked.note) == (2, "F_UNLCK")


def test_signals_ends_and_what_never_returned() -> None:
    found = read_strace(
        "log",
        log(
            "7 pause( <unfinished ...>",
            "8 --- SIGIO {si_signo=SIGIO, si_code=POLL_MSG, si_band=1089, si_fd=3</tmp/f>} ---",
            "8 exit_group(3)   = ?",
            "8 +++ exited with 3 +++",
            "7 +++ killed by SIGABRT (core dumped) +++",
        ),
    )
    paused, signal, exiting, exited, killed = found.entries
    assert isinstance(paused, LoggedCall)
    assert (paused.ends, paused.result) == (NEVER, "")
    assert isinstance(signal, LoggedSignal)
    assert signal.info.fields["si_fd"] == Described("3", "/tmp/f")
    assert isinstance(exiting, LoggedCall)
    assert exiting.value is None
    assert exited == LoggedEnd(8, 4, exited.at, status=3)  # type: ignore[union-attr]
    assert isinstance(killed, LoggedEnd)
    assert killed.signal == "SIGABRT"


def test_what_strace_says_of_itself_is_passed_over() -> None:
    found = read_strace(
        "log",
        log("7 getpid() = 7", "7 [ Process PID=7 runs in 32 bit mode. ]", "7 --- stopped by SIGSTOP ---")
        + "strace: Process 9 attached\n\n",
    )
    assert len(found.entries) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hello", r"log:1: expected a process, a time in seconds (strace -f -ttt) and a call, found 'hello'"),
        ("7 getpid() = 7", r"log:1: expected a process, a time in seconds (strace -f -ttt) and a call"),
        (f"7 {HEAD}.000001 getpid( = 7", "log:1: expected ) behind the arguments of getpid, found the end of the line"),
        (f"7 {HEAD}.000001 getpid() 7", "log:1: expected = and what getpid returned, found '7'"),
        (f"7 {HEAD}.000001 what is this", "log:1: expected a call, a signal or the end of a process"),
        (f"7 {HEAD}.000001 f({{a=1", "log:1: expected } at the end of a structure"),
        (f"7 {HEAD}.000001 f({{a=1) = 0", "log:1: expected a value, found ') = 0'"),
        ("", "log: expected a log of strace -f -ttt -T -yy -e signal=all, found nothing"),
    ],
)
def test_a_line_that_is_none_is_told_with_its_place(line: str, expected: str) -> None:
    with pytest.raises(LogError, match=re.escape(expected)):
        read_strace("log", line)


def test_the_end_of_another_call_is_no_end() -> None:
    text = log("7 pause( <unfinished ...>", "7 <... read resumed>) = 0")
    with pytest.raises(LogError, match="log:2: expected the end of pause, which began in line 1, found read"):
        read_strace("log", text)


def told(text: str) -> list[tuple[str, int, str]]:
    """Return what the first thread of a log did: the kind, the line, and what of it counts."""
    threads = read_threads(read_strace("log", text)).threads
    found: list[tuple[str, int, str]] = []
    for event in next(iter(threads.values())).events:
        what = event.what
        word = what.result + what.errno if isinstance(what, LoggedCall) else getattr(what, "name", "")
        found.append((event.kind, event.line, word))
    return found


HANDLER = "7 rt_sigaction(SIGIO, {sa_handler=0x1, sa_mask=[], sa_flags=SA_RESTART}, NULL, 8) = 0"
SIGNAL = "7 --- SIGIO {si_signo=SIGIO, si_code=SI_USER, si_pid=9, si_uid=0} ---"


def test_a_call_that_a_handler_interrupted_has_returned_before_it_ran() -> None:
    text = log(
        HANDLER,
        "7 pause( <unfinished ...>",
        "8 getpid() = 8",
        "7 <... pause resumed>) = ? ERESTARTNOHAND (To be restarted if no handler)",
        SIGNAL,
        "7 getpid() = 7",
        "7 rt_sigreturn({mask=[]}) = -1 EINTR (Interrupted system call)",
    )
    assert told(text)[2:] == [
        ("begins", 2, "-1EINTR"),
        ("returns", 4, "-1EINTR"),
        ("takes", 5, "SIGIO"),
        ("begins", 6, "7"),
        ("returns", 6, "7"),
        ("resumes", 7, "-1EINTR"),
    ]


def test_a_call_that_is_made_again_is_one() -> None:
    text = log(
        HANDLER,
        "7 wait4(-1, 0x7f, 0, NULL) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)",
        SIGNAL,
        "7 rt_sigreturn({mask=[]}) = 61",
        "7 wait4(-1, NULL, 0, NULL) = 9",
    )
    assert told(text)[2:] == [
        ("begins", 2, "9"),
        ("takes", 3, "SIGIO"),
        ("resumes", 4, "61"),
        ("returns", 5, "9"),
    ]


def test_a_call_is_made_again_after_a_signal_that_is_ignored() -> None:
    text = log(
        "7 nanosleep({tv_sec=1, tv_nsec=0}, 0x7f) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)",
        "7 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=9, si_uid=0, si_status=0} ---",
        "7 restart_syscall(<... resuming interrupted nanosleep ...>) = 0",
    )
    # A disposition of which nothing is known is the default, which ignores this one.
    assert told(text) == [("begins", 1, "0"), ("returns", 3, "0")]


def test_one_handler_may_interrupt_the_beginning_of_another() -> None:
    other = "7 rt_sigaction(SIGUSR1, {sa_handler=0x1, sa_mask=[], sa_flags=0}, NULL, 8) = 0"
    text = log(
        HANDLER,
        other,
        "7 pause() = ? ERESTARTNOHAND (To be restarted if no handler)",
        "7 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=9, si_uid=0} ---",
        SIGNAL,
        "7 rt_sigreturn({mask=[USR1]}) = 0",
        "7 rt_sigreturn({mask=[]}) = -1 EINTR (Interrupted system call)",
        "7 getpid() = 7",
    )
    kinds = [kind for kind, _, _ in told(text)[4:]]
    assert kinds == ["begins", "returns", "takes", "takes", "resumes", "resumes", "begins", "returns"]


def test_a_signal_that_kills_is_told_by_the_end() -> None:
    text = log("7 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER} ---", "7 +++ killed by SIGTERM +++")
    assert [kind for kind, _, _ in told(text)] == ["ends"]


def test_threads_know_their_process_and_who_made_them() -> None:
    threads = read_threads(
        read_strace(
            "log",
            log(
                "7 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 8",
                "8 clone3({flags=CLONE_VM|CLONE_THREAD, stack=0x7f} => {parent_tid=[9]}, 88) = 9",
                "9 getpid() = 8",
            ),
        )
    ).threads
    assert [(thread.tid, thread.process, thread.parent) for thread in threads.values()] == [
        (7, 7, 0),
        (8, 8, 7),
        (9, 8, 8),
    ]
