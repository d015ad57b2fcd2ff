"""The clients in Go and Java beside the one in Python, in turns, with the same file."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.transfers.ours import Prepared
from benchmarks.transfers.rounds import scratch, shuffled, touch
from benchmarks.transfers.turns import Turns
from tests.clients.drivers import LANGUAGES, ROOT, command_of

_ASKED = 1.43  # 0.7 times the rate


class Client:
    """A client's process; starting it and connecting are not measured."""

    def __init__(self, language: str, prepared: Prepared) -> None:
        self._prepared = prepared
        self._process = subprocess.Popen(
            command_of(language, is_short=False),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._do(do="connect", server=prepared.ours.url, ca=prepared.ours.authority)
        self._do(do="run", run=prepared.run_id)

    def upload(self, _: Path) -> float:
        """Until the input is checked and provisioned."""
        [run_id] = self._prepared.new_runs(1)
        source = self._prepared.source
        seconds = self._do(do="provision", run=run_id, inputs={source.name: {"file": str(source)}})
        self._prepared.drop_runs([run_id])
        return seconds

    def download(self, folder: Path) -> float:
        """Until all of it is in its place."""
        name = self._prepared.source.name
        order = {"run": self._prepared.run_id, "of": "outputs", "path": name}
        return self._do(do="download", **order, folder=str(folder))

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _do(self, **order: object) -> float:
        """Seconds that it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        given = {name: value for name, value in order.items() if value is not None}
        started = time.perf_counter()
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "ok" in answer, answer
        return time.perf_counter() - started


@contextmanager
def _client(language: str, prepared: Prepared) -> Iterator[Client]:
    client = Client(language, prepared)
    try:
        yield client
    finally:
        client.stop()


def languages(prepared: Prepared, folder: Path, rounds: int) -> list[Turns]:
    """Each direction in Go and Java, with Python in the same rounds."""
    others = [language for language in LANGUAGES if language != "python"]
    found = []
    with ExitStack() as stack:
        clients = {
            language: stack.enter_context(_client(language, prepared)) for language in LANGUAGES
        }
        for direction in ("upload", "download"):
            seconds: dict[str, list[float]] = {language: [] for language in LANGUAGES}
            for number in range(-1, rounds):
                for language in shuffled(list(clients)):
                    touch(folder, prepared.source.stat().st_size)
                    with scratch(folder) as place:
                        took = getattr(clients[language], direction)(place)
                    if number >= 0:
                        seconds[language].append(took)
            for language in others:
                turns = Turns(name=f"{language} to python, {direction}", asked=_ASKED)
                turns.ours, turns.theirs = seconds[language], seconds["python"]
                found.append(turns)
    return found
