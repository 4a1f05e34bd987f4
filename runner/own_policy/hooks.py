"""The hooks of somebody's own policy are asked in the way of any other's, and what they answer is looked at.

What a hook raises, and an answer that is none, is a mistake of the policy, told with its file and line. Answers of
longpin's own policies are held to this by tests, which cost a run nothing.
"""

import copy
import errno
import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, Flag
from functools import cache, wraps
from random import Random
from traceback import extract_tb
from typing import Any, Union, get_args, get_origin, get_type_hints

from longpin.actors.kernel.file_system import ChangeKind
from longpin.actors.parameters import replaced
from longpin.actors.policies.base import Policy
from longpin.actors.policies.decisions import BreakLeases, DropLease, Fail, KillHolders, Revoke, Scan, WaitFor
from longpin.actors.policies.views import LayoutView, LeaseKey, PolicyState
from longpin.runner.own_policy.bounds import bounded
from longpin.runner.own_policy.checks import HOOKS, PolicyError, TimeSpentError

TRIES = 12
"""Questions that each hook is asked twice before a run begins."""


def guard_hooks(path: str, policy: type[Policy]) -> None:
    """Let every hook that is not the base rule be looked at when it is asked.

    One that is inherited too: it may call what the class has in place of a method of its base.
    """
    for hook in HOOKS:
        method = getattr(policy, hook)
        if method is not getattr(Policy, hook):
            setattr(policy, hook, _guarded(_Guard(path, hook), method))


@dataclass(frozen=True, slots=True)
class _Guard:
    """Looks at one hook."""

    path: str
    hook: str

    def blame(self, method: types.FunctionType, wrong: str) -> PolicyError:
        """Return the mistake that an answer is."""
        code = method.__code__
        where = f"{self.path}:{code.co_firstlineno}" if code.co_filename == self.path else self.path
        return PolicyError(f"{where}: {self.hook} {wrong}")


def _guarded(guard: _Guard, method: types.FunctionType) -> Callable[..., Any]:
    @wraps(method)
    def asked(self: Policy, *args: Any, **options: Any) -> Any:
        try:
            with bounded(guard.path, guard.hook):
                answer = method(self, *args, **options)
        except (PolicyError, KeyboardInterrupt, TimeSpentError):  # of a hook that this one has asked
            raise
        except BaseException as error:
            if all(frame.filename != guard.path for frame in extract_tb(error.__traceback__)):
                raise  # by a hook of the base class, which was asked with nonsense: who asked is told
            raise PolicyError.by(guard.path, error, guard.hook) from error
        if wrong := wrong_answer(guard.hook, answer, (*args, *options.values())):
            raise guard.blame(method, wrong)
        return answer

    return asked


@cache
def _returned(hook: str) -> Any:
    return get_type_hints(getattr(Policy, hook))["return"]


def wrong_answer(hook: str, answer: Any, shown: tuple[Any, ...]) -> str:
    """Return what is wrong with an answer to what a hook was shown; empty if the kernel can carry it out."""
    if not _fits(answer, _returned(hook)):
        return f"answered {_short(answer)}, expected {_words(_returned(hook))}"
    view = next((fact for fact in shown if isinstance(fact, LayoutView)), None)
    wrong = _empty(answer) or ("" if view is None else _not_there(answer, view))
    if hook == "on_exit" and sorted(answer) != sorted(shown[0]):
        wrong = "which is not every descriptor once"
    return f"answered {_short(answer)}, {wrong}" if wrong else ""


def _empty(answer: Any) -> str:
    """Return what is wrong with a decision that would change nothing, so that the question would come for ever."""
    match answer:
        case Fail(errno=number) | BreakLeases(then=Fail(errno=number)) if number not in errno.errorcode:
            return "whose errno Linux does not have"
        case WaitFor(pins=()) | KillHolders(pins=()) | Revoke(registrations=()):
            return "which names nothing, so it would be asked the same for ever"
        case DropLease(leases=()) | BreakLeases(leases=(), wait=True):
            return "which names nothing, so it would be asked the same for ever"
    return ""


def _not_there(answer: Any, view: LayoutView) -> str:
    """Return what is wrong with a decision about leases and pins that it was not shown."""
    leases = {lease.address for lease in view.leases}
    match answer:
        case Scan() if view.pins is not None:
            return "but it was shown what a scan has found"
        case WaitFor(pins=pins) | KillHolders(pins=pins) if not set(pins) <= set(view.pins or ()):
            return "but was not shown these pins: Scan asks for them"
        case BreakLeases(leases=None, wait=True) if not view.layout_leases:
            return "but there is no layout lease"
        case DropLease(leases=named) | BreakLeases(leases=tuple() as named) if not leases.issuperset(named):
            return "but there are no such leases"
    return ""


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of a type, with all that is in it."""
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        item, *_ = get_args(hint)
        return type(value) is tuple and all(_fits(part, item) for part in value)
    if hint is float:
        return type(value) in (int, float)
    if hint in (int, bool, str, type(None)):
        return type(value) is hint or (hint in (int, str) and isinstance(value, hint) and not isinstance(value, bool))
    if hasattr(hint, "_fields"):
        kind: Hashable = hint
        return type(value) is hint and all(_fits(part, its) for part, its in zip(value, _types_of(kind), strict=True))
    if hint is PolicyState:
        return isinstance(value, PolicyState) and _is_value(value)
    return isinstance(value, hint)


@cache
def _types_of(kind: Any) -> tuple[Any, ...]:
    hints = get_type_hints(kind)
    return tuple(hints[name] for name in getattr(kind, "_fields", ()))


def _is_value(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _words(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_words, get_args(hint)))
    if get_origin(hint) is tuple:
        return "a tuple of " + _words(get_args(hint)[0])
    return "None" if hint is type(None) else str(hint.__name__)


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]}..."


# Purity.


def check_purity(path: str, policy: type[Policy], namespace: Mapping[str, Any]) -> None:
    """Ask every hook some questions twice: it must answer the same, and change nothing.

    The questions are made up, so what a hook raises about them says nothing.

    Raises:
        PolicyError: a hook answers differently, or changes what it is shown, a list, a dict or a set.

    """
    named = [item for its in (namespace, vars(policy)) for item in its.items() if not item[0].startswith("__")]
    kept = [value for _, value in named if type(value) in (list, dict, set)]
    for hook in HOOKS:
        method = getattr(policy, hook)
        if method is getattr(Policy, hook):
            continue
        asked = method.__wrapped__
        guard = _Guard(path, hook)
        hints = {part: hint for part, hint in get_type_hints(getattr(Policy, hook)).items() if part != "return"}
        random = Random(hook)
        for _ in range(TRIES):
            one = replaced(policy(), random.choice(list(policy.presets.values())))
            arguments = {part: _value(random, hint, one) for part, hint in hints.items()}
            before, held = copy.deepcopy(arguments), repr(kept)
            first, second = _ask(asked, one, arguments), _ask(asked, one, copy.deepcopy(before))
            if arguments != before:
                raise guard.blame(asked, "changes what it is shown")
            if repr(kept) != held:
                raise guard.blame(asked, "changes a list, a dict or a set: a hook is a function of its arguments")
            if first != second:
                wrong = f"answers {_short(first)} and, asked the same again, {_short(second)}"
                raise guard.blame(asked, f"{wrong}: a hook is a function of its arguments")


def _ask(method: Callable[..., Any], policy: Policy, arguments: dict[str, Any]) -> Any:
    exiting = {name: value for name, value in arguments.items() if name == "exiting"}
    try:
        return method(policy, *(value for name, value in arguments.items() if name != "exiting"), **exiting)
    except (KeyboardInterrupt, TimeSpentError):
        raise
    except BaseException as error:  # noqa: BLE001 - about a question that no kernel asks
        return type(error)


def _value(random: Random, hint: Any, policy: Policy) -> Any:
    """Return a value of a type that a hook is shown; there are few different ones, so that they often meet."""
    if hint == LeaseKey:
        return random.choice([("file:1",), ("file:1", "process:1"), ("mapping", "process:1", "1")])
    plain: dict[Any, list[Any]] = {
        str: ["", "file:1", "process:1", "mr:1", "uv:1", "lease:1"],
        bool: [False, True],
        int: [0, 1, 2, 3, 16, 48, 0x200001],
        float: [0.0, 45.0],
        type(None): [None],
    }
    if hint in plain:
        return random.choice(plain[hint])
    if hint is PolicyState:
        return policy.state
    if get_origin(hint) in (Union, types.UnionType):
        return _value(random, random.choice(get_args(hint)), policy)
    if get_origin(hint) is tuple:
        return tuple(_value(random, get_args(hint)[0], policy) for _ in range(random.randrange(4)))
    if isinstance(hint, type) and issubclass(hint, Flag):
        return random.choice([ChangeKind(0), *ChangeKind])
    if isinstance(hint, type) and issubclass(hint, Enum):
        return random.choice(list(hint))
    names = [field.name for field in fields(hint)] if is_dataclass(hint) else list(hint._fields)
    hints = get_type_hints(hint)
    return hint(*(_value(random, hints[name], policy) for name in names))
