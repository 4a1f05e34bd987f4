"""P1 WAIT: pins are allowed, and layout changes wait for them [semantics 4.1; S3]."""

from dataclasses import dataclass
from typing import ClassVar

from longpin.actors.policies.base import Policy


@dataclass(frozen=True, slots=True)
class WaitForIdle(Policy):
    """P0 without its check: the base rules alone, under which truncate can block forever."""

    name: ClassVar[str] = "P1"
    alias: ClassVar[str] = "wait"
    summary: ClassVar[str] = "anybody with a mapping may pin; truncate waits for the pins, for ever if need be"
    source: ClassVar[str] = "Chinner, 2019-02-06 [S3]: dax_layout_busy_page can block forever"
