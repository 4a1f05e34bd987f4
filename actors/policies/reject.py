"""P0 REJECT: no long-term pins of FS-DAX pages [semantics 4.0; S2, k54]."""

import errno
from dataclasses import dataclass
from typing import Any, ClassVar

from longpin.actors.policies.base import Policy


@dataclass(frozen=True, slots=True)
class Reject(Policy):
    """What Linux does: get_user_pages with FOLL_LONGTERM fails with EOPNOTSUPP on a DAX mapping."""

    name: ClassVar[str] = "P0"
    alias: ClassVar[str] = "reject"
    summary: ClassVar[str] = "long-term pins of FS-DAX pages are refused: ibv_reg_mr fails with EOPNOTSUPP"
    source: ClassVar[str] = "Williams, get_user_pages_longterm v3 1/4, 2017-11-29 [S2]; Linux 5.4 mm/gup.c [k54]"
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "as_posted": {
            "busy_scan_skips_unmapped": True,
            "evict_waits": False,
            "whole_file_scan": True,
            "late_check": True,
        },
        "intended": {},
    }

    late_check: bool = False
    """The mapping is examined after its pages were pinned, so a transient pin exists: True is 5.4 [S2]."""

    def vma_gate(self, *, longterm: bool) -> int:
        """Refuse every long-term pin before a page is touched: of a read-only mapping and beyond the end too."""
        return errno.EOPNOTSUPP if longterm and not self.late_check else 0

    def pinned_gate(self, *, longterm: bool) -> int:
        """Refuse every long-term pin after it was taken."""
        return errno.EOPNOTSUPP if longterm else 0
