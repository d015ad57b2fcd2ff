"""The process that does the work: one agent, from its settings to its exit code."""

from __future__ import annotations

import asyncio
import logging
import signal

from appengine_client.errors import InvalidValue
from appengine_client.transfer import Connection

from appengine_transfer_agent.agent import Agent
from appengine_transfer_agent.exits import Ended, Exit
from appengine_transfer_agent.moves import FETCH, UPLOAD
from appengine_transfer_agent.settings import AgentSettings, read_agent_settings

log = logging.getLogger(__name__)

_MOVES = {"fetch": FETCH, "transfer": UPLOAD}


def work(command: str) -> Exit:
    """Do `fetch` or `transfer`, and say in one line how it ended."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        code = asyncio.run(_run(command, read_agent_settings()))
    except InvalidValue as refusal:
        log.warning("wrong settings: %s", refusal)
        return Exit.WRONG_SETTINGS
    except Ended as end:
        log.warning("ended: %s", end)
        return end.code
    log.info("ended: %s", code.meaning)
    return code


async def _run(command: str, settings: AgentSettings) -> Exit:
    connection = Connection(settings.connection)
    try:
        agent = Agent(settings, connection, _MOVES[command])
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, agent.terminate)
        # The supervisor keeps them back until somebody listens.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
        return await agent.run()
    finally:
        await connection.close()
