"""Independent jobs on all cores: in threads what reads and converts files, in processes what draws phantoms.

Threads begin at once and share what is loaded; they serve where codecs, hashing and large arrays do the work, because
these let other threads run meanwhile. Processes take two seconds to start; they serve many small steps of Python.

Used by the data sets of every notebook.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import TypeVar

from helpers import runtime

Job, Done = TypeVar("Job"), TypeVar("Done")

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
MOST = 61  # processes that Windows can wait for
AHEAD = 4  # handfuls of jobs for each core that may be done, or under way, before the first is asked for


def in_threads(work: Callable[[Job], Done], jobs: Iterable[Job]) -> Iterator[Done]:
    """Do independent jobs on all cores, each in a thread, and yield the results in the jobs' order.

    Args:
        work: A function that leaves what is shared as it is.
        jobs: Its arguments, one each.

    Example:
        >>> list(in_threads(str.upper, ["ct", "mip"]))
        ['CT', 'MIP']

    Used by the caches of every notebook.
    """
    if runtime.cores() == 1:
        yield from map(work, jobs)
        return
    yield from _in_order(ThreadPoolExecutor(runtime.cores()), work, ([job] for job in jobs))


def in_processes(work: Callable[[Job], Done], jobs: Iterable[Job]) -> Iterator[Done]:
    """Do independent jobs on all cores, each in another process, and yield the results in the jobs' order.

    Args:
        work: A function that other processes can import.
        jobs: Its arguments, one each.

    Example:
        >>> list(in_processes(str.upper, ["ct", "mip"]))
        ['CT', 'MIP']

    Used by the phantoms of every notebook.
    """
    jobs, cores = list(jobs), min(runtime.cores(), MOST)
    if len(jobs) < 8 or cores == 1:
        yield from map(work, jobs)
        return
    size = min(4, 1 + len(jobs) // (4 * cores))
    # Forking a process whose libraries run threads can hang, so workers start afresh.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(cores, mp_context=context, initializer=_prepare_worker)
    handfuls = (jobs[start : start + size] for start in range(0, len(jobs), size))
    yield from _in_order(pool, work, handfuls, _one_thread_each)


def _in_order(
    pool: Executor,
    work: Callable[[Job], Done],
    handfuls: Iterator[Sequence[Job]],
    starting: Callable[[], AbstractContextManager] = nullcontext,
) -> Iterator[Done]:
    submit = partial(pool.submit, _do_all, work)
    try:
        with starting():  # workers start with the first jobs
            waiting = deque(map(submit, islice(handfuls, AHEAD * runtime.cores())))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(map(submit, islice(handfuls, 1)))  # never all at once: results would pile up
            yield from done
    finally:
        pool.shutdown(cancel_futures=True)


def _do_all(work: Callable[[Job], Done], jobs: Sequence[Job]) -> list[Done]:
    return [work(job) for job in jobs]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """One thread a worker: two workers whose matrix products take two threads each were four times slower.

    Only what stands in the environment when a worker starts counts.
    """
    before = {name: os.environ[name] for name in THREADS if name in os.environ}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name in THREADS:
            os.environ.pop(name)
        os.environ.update(before)


def _prepare_worker() -> None:
    """Ready a worker for an end of which nobody tells it."""
    signal.signal(signal.SIGINT, _end_in_a_moment)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_in_a_moment(*_) -> None:
    """Ctrl-C reaches workers too: without a word, and after the parent, which would else take it for a crash."""
    time.sleep(0.5)
    os._exit(1)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next job for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
