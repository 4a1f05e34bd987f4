"""What is asked of the table of users, of which each has a count of pages that are locked for it (``user_struct``).

None of these has a footprint: hardly anything else reaches the table.
"""

from longpin.messages.envelope import Address, Message, message

USERS: Address = "users"
"""The address of the table."""


@message
class ChargeUser(Message):
    """Count pages against what a user may have locked; ENOMEM if that is more than the limit [__io_account_mem]."""

    uid: int
    pages: int
    limit: int
    """RLIMIT_MEMLOCK of who asks, in pages."""


@message
class UnchargeUser(Message):
    """Count fewer."""

    uid: int
    pages: int
