"""The container's first process: starts the worker, and starts it again when it was killed.

It loads no library of others, so that next to nothing can go wrong in it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

from appengine_transfer_agent.exits import Exit

_MAX_RESTARTS = 5
_PAUSE_SECONDS = 1.0
"""Before each restart, so that a worker that cannot start does not burn a CPU."""
_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})
_AWAITED = _ENDING | {signal.SIGCHLD}


def supervise(work: Callable[[], int]) -> int:
    """Run `work` in a child process until it ends by itself, and give its exit code.

    A child that was killed or crashed is replaced, a few times. SIGTERM and SIGINT are passed on,
    to its successors too.
    """
    # All signals are waited for, none interrupts: no handler can run at a bad moment.
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    ending: set[int] = set()
    code: int = Exit.CRASHED
    for restart in range(_MAX_RESTARTS + 1):
        if restart:
            print(f"the worker ended by itself ({code}); restart {restart}", file=sys.stderr)
            time.sleep(_PAUSE_SECONDS)
        code = _follow(_start(work), ending)
        if 0 <= code != Exit.CRASHED:
            return code
    return code if code > 0 else 128 - code


def _start(work: Callable[[], int]) -> int:
    worker = os.fork()
    if worker:
        return worker
    code: int = Exit.CRASHED
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _follow(worker: int, ending: set[int]) -> int:
    """Wait for the end of the worker: its exit code, or the negative number of its signal."""
    for number in ending:
        os.kill(worker, number)
    while True:
        number = signal.sigwait(_AWAITED)
        if number != signal.SIGCHLD:
            ending.add(number)
            os.kill(worker, number)
            continue
        if (code := _reap(worker)) is not None:
            return code


def _reap(worker: int) -> int | None:
    """Collect whoever has ended; the first process of a container inherits orphans."""
    code = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if ended == 0:
            return code
        if ended == worker:
            code = os.waitstatus_to_exitcode(status)
