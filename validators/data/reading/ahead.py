"""Work on pieces of a large whole on all processors, with few of them in memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def each_done(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The results in the order of the items, which are taken as they are needed: while one result
    waits, at most one more for each processor is worked on."""
    running: deque[Future[R]] = deque()
    with ThreadPoolExecutor(processors()) as pool:
        try:
            for item in items:
                running.append(pool.submit(work, item))
                if len(running) > processors():
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for one in running:
                one.cancel()
