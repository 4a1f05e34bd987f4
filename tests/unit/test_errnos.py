"""The errnos a call may fail with: those of its manual pages, as they are installed here, and what is added."""

import gzip
import re
from pathlib import Path

import pytest

from longpin.actors.constants import ERRNO_ALIASES, ERRNOS
from longpin.actors.syscalls import SYSCALLS
from longpin.actors.syscalls.declaration import pages_of
from longpin.actors.syscalls.errnos import PAGES, VERSION

INSTALLED = Path("/usr/share/man")


def source_of(page: str) -> str:
    """Return the text of a manual page; a page may stand for another one."""
    name, _, section = page.removesuffix(")").partition("(")
    path = INSTALLED / f"man{section}" / f"{name}.{section}.gz"
    if not path.exists():
        pytest.skip(f"the manual page {page} is not installed in {INSTALLED}")
    text = gzip.decompress(path.read_bytes()).decode()
    if text.startswith(".so "):
        name, _, section = text.split()[1].rpartition("/")[2].partition(".")
        return source_of(f"{name}({section})")
    return text


def errnos_in(text: str) -> set[str]:
    """Return what the tags of the ERRORS section name."""
    section = re.search(r"^\.SH ERRORS\n(.*?)(?=^\.SH |\Z)", text, re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    tagged = False
    for line in section[1].splitlines() if section else []:
        if line.startswith((".TP", ".TQ")):
            tagged = True
        elif tagged and not line.startswith(r".\""):
            found |= set(re.findall(r"\bE[A-Z0-9]{2,}\b", line))
            tagged = False
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_row_is_the_whole_errors_section_of_the_installed_page(page: str) -> None:
    text = source_of(page)
    version = re.search(r"Linux man-pages ([0-9.]+)", text)
    assert version, f"{page} is not of the Linux man-pages"
    row, installed = set(PAGES[page].split()), errnos_in(text)
    assert installed <= row, f"man-pages {version[1]} has more for {page}"
    if version[1] == VERSION:
        assert row == installed


def test_the_reader_of_pages_sees_the_tags_and_nothing_else() -> None:
    head = ".SH NAME\n.TP\n.B ENONE\n.SH ERRORS\n"
    tags = '.TP\n.\\" a comment\n.BR EAGAIN " or " EWOULDBLOCK\nnot EINTR\n.TQ\n.B EIO\n'
    text = f"{head}{tags}.SH X\n.TP\n.B EPERM\n"
    assert errnos_in(text) == {"EAGAIN", "EWOULDBLOCK", "EIO"}


def test_what_is_added_is_no_errno_of_a_page_and_has_a_source() -> None:
    for call in SYSCALLS.values():
        named = {ERRNO_ALIASES.get(errno, errno) for page in pages_of(call.man) for errno in PAGES[page].split()}
        assert not named & set(call.added), call.name
        assert set(call.added) <= call.errnos
        assert all(source and errno in ERRNOS for errno, source in call.added.items()), call.name


@pytest.mark.parametrize(
    ("call", "errnos"),
    [
        ("open", "EACCES EAGAIN EBADF EFBIG EINVAL ELOOP EMFILE ENAMETOOLONG ENFILE ENOSPC ENXIO EOVERFLOW EROFS"),
        ("truncate", "EFBIG EINVAL EIO EISDIR ELOOP ENAMETOOLONG ENOTDIR EROFS ETXTBSY"),
        ("ftruncate", "EBADF EFBIG EINVAL EIO"),
        ("rename", "EDQUOT EXDEV ENOTEMPTY ENAMETOOLONG EMLINK"),
        ("setxattr", "EPERM EDQUOT ENOSPC EOPNOTSUPP ENAMETOOLONG EACCES"),
        ("flock", "EAGAIN ENOLCK"),
        ("fcntl", "ESRCH EMFILE EDEADLK"),
        ("mmap", "EOVERFLOW ENFILE EOPNOTSUPP"),
        ("ibv_reg_mr", "EOPNOTSUPP EPERM EINVAL"),
    ],
)
def test_what_a_call_may_fail_with(call: str, errnos: str) -> None:
    assert set(errnos.split()) <= SYSCALLS[call].errnos


def test_what_a_call_may_not_fail_with() -> None:
    assert SYSCALLS["getpid"].errnos == frozenset()
    assert SYSCALLS["pause"].errnos == {"EINTR"}
    assert "EWOULDBLOCK" not in SYSCALLS["open"].errnos, "it has another name here"
