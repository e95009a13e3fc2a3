"""Do the same on several hosts at once, and tell of all that went wrong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from worker.errors import Failed, NotAllowed, Refused, StepError, Unreachable

T = TypeVar("T")
R = TypeVar("R")
MOST_AT_ONCE = 16
_MOST_TOLD = 5


def fan_out(items: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """Do `work` for each item; results in the items' order.

    Raises:
        StepError: of one item as it is; of several, one of the most telling kind with all messages
            (unreachable before failed before refused).
    """

    def tried(item: T) -> R | StepError:
        try:
            return work(item)
        except StepError as error:
            return error

    with ThreadPoolExecutor(min(MOST_AT_ONCE, max(1, len(items)))) as threads:
        ends = list(threads.map(tried, items))
    errors = [end for end in ends if isinstance(end, StepError)]
    if errors:
        raise _one_of(errors)
    return [end for end in ends if not isinstance(end, StepError)]


def _one_of(errors: Sequence[StepError]) -> StepError:
    for error in errors:
        if not isinstance(error, Unreachable | Failed | Refused):
            return error  # superseded, aborted: nothing else matters
    for kind in (Unreachable, Failed, Refused):
        some = [error for error in errors if isinstance(error, kind)]
        if len(some) == 1 and len(errors) == 1:
            return some[0]
        if some:
            told = "; ".join(error.message for error in errors[:_MOST_TOLD])
            more = len(errors) - _MOST_TOLD
            text = f"{len(errors)} hosts: {told}{f'; and {more} more' if more > 0 else ''}"
            lasting = kind is Unreachable and all(isinstance(one, NotAllowed) for one in some)
            return NotAllowed(text) if lasting else kind(text)
    return errors[0]
