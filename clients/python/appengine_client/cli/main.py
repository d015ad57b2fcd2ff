"""The command `appengine`."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper

from appengine_client.cli.errors import ExitCode, complain

_NEW_OBJECTS = 20_000
"""After so many Python looks for garbage; by itself so often that it takes a tenth of the start."""
_NOT_PRINTED = frozenset({errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF})
_OPTIONAL = ("typer", "click", "rich", "appengine_contract")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the arguments say, and end the program with its exit code."""
    gc.set_threshold(_NEW_OBJECTS)
    # gRPC's core writes lines of its own to stderr when a connection is lost.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        with _output():
            from appengine_client.cli.app import run_app

            run_app(sys.argv[1:] if arguments is None else arguments)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _OPTIONAL:
            raise
        complain(
            "The command line is not installed. In the folder of a checkout: "
            "pip install ./protos ./contract './clients/python[cli]'"
        )
        sys.exit(ExitCode.USAGE)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


@contextmanager
def _output() -> Iterator[None]:
    """Make what is printed arrive, whatever the encoding is, or end the program saying why not."""
    # What the shell closed is None.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - until the program ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - until the program ends
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it by itself
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in _NOT_PRINTED or error.filename is not None:
            raise
        # What is still in the buffer would be tried once more when the program ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:  # nobody reads on, as behind `| head`
            sys.exit(ExitCode.FAILED)
        complain(f"Error: the results cannot be printed: {error.strerror}")
        sys.exit(ExitCode.USAGE)
