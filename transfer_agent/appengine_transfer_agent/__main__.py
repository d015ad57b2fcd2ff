"""The command `appengine-transfer-agent`."""

from __future__ import annotations

import argparse
import sys

from appengine_transfer_agent.exits import Exit
from appengine_transfer_agent.supervisor import supervise

_COMMANDS = {
    "fetch": "Bring the inputs of the attempt into the folder, then end.",
    "transfer": "Wait for the server's order, send the outputs in the folder, then end.",
}

_EPILOG = """\
environment:
  APPENGINE_SERVER        the server: http://HOST:PORT, or https://HOST:PORT for TLS
  APPENGINE_CA_FILE       PEM file of the certificates to trust; not needed for public ones
  APPENGINE_TOKEN_FILE    file that holds the token of this attempt
  APPENGINE_RUN_ID        the run
  APPENGINE_ATTEMPT       number of the attempt, from 1
  APPENGINE_FOLDER        folder of the inputs (fetch) or outputs (transfer)
  APPENGINE_OUTAGE_LIMIT  seconds without the server, or without progress, before giving up; 3600

exit codes:
""" + "\n".join(f"  {code.value:<3} {code.meaning}" for code in Exit)


def main() -> None:
    """Do one half of an attempt's transfers; see `--help` for settings and exit codes."""
    parser = argparse.ArgumentParser(
        prog="appengine-transfer-agent",
        description="Moves the files of one attempt, as its server orders.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in _COMMANDS.items():
        commands.add_parser(name, help=text, description=text)
    command: str = parser.parse_args().command
    sys.exit(supervise(lambda: _work(command)))


def _work(command: str) -> int:
    # Only in the worker: its libraries are large, start threads, and the supervisor needs none.
    from appengine_transfer_agent.worker import work

    return work(command)


if __name__ == "__main__":
    main()
