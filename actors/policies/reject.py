"""P0 REJECT: no long-term pins of FS-DAX pages [semantics 4.0; S2, k54]."""

import errno
from dataclasses import dataclass
from typing import ClassVar

from longpin.actors.kernel.generation import Version
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import Answer, Fail, Proceed
from longpin.messages.fs.mapping import Memory, PinRequest


@dataclass(frozen=True, slots=True)
class Reject(Policy):
    """What Linux does: get_user_pages with FOLL_LONGTERM fails with EOPNOTSUPP on a DAX mapping."""

    name: ClassVar[str] = "P0"
    alias: ClassVar[str] = "reject"
    summary: ClassVar[str] = "long-term pins of FS-DAX pages are refused: ibv_reg_mr fails with EOPNOTSUPP"
    kernels: ClassVar[dict[str, Version]] = {"as_posted": Version.LINUX_5_4, "intended": Version.LINUX_6_18}
    source: ClassVar[str] = "Williams, get_user_pages_longterm v3 1/4, 2017-11-29 [S2]; Linux 5.4 mm/gup.c [k54]"

    def longterm_gate(self, request: PinRequest) -> Answer:
        """Refuse each long-term pin of FS-DAX; asked before any page, also of a read-only mapping or beyond the end."""
        return Fail(errno.EOPNOTSUPP) if request.memory is Memory.FS_DAX else Proceed()
