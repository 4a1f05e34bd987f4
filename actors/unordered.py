"""Dicts of which the order is nobody's business: who goes through one meets its keys sorted."""

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Unordered(dict[K, V]):
    """A dict in which it cannot be seen what was entered first, so two with the same entries are one state.

    Keys are of one type and can be compared.
    """

    __slots__ = ()

    def __iter__(self) -> Iterator[K]:
        return iter(sorted(super().keys()))  # type: ignore[type-var]

    def __reversed__(self) -> Iterator[K]:
        return iter(sorted(super().keys(), reverse=True))  # type: ignore[type-var]

    def keys(self) -> KeysView[K]:  # type: ignore[override]
        """Return the keys, sorted."""
        return KeysView(self)

    def values(self) -> ValuesView[V]:  # type: ignore[override]
        """Return the values in the order of their keys."""
        return ValuesView(self)

    def items(self) -> ItemsView[K, V]:  # type: ignore[override]
        """Return both, in the order of the keys."""
        return ItemsView(self)

    def copy(self) -> Any:
        """Return another with the same entries."""
        return type(self)(self)

    def popitem(self) -> tuple[K, V]:
        """Take out the entry with the greatest key.

        Raises:
            KeyError: there is none.

        """
        if not self:
            raise KeyError("popitem(): dictionary is empty")
        key = max(super().keys())  # type: ignore[type-var]
        return key, self.pop(key)
