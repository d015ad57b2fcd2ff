"""Does with the Python client what the tests say: see drivers.py."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from appengine.v1 import storage_service_pb2
from appengine_client import AppEngineError, Client, LocalFile, Reference, connect
from appengine_client.errors import ServerError
from google.protobuf.json_format import MessageToDict

Order = dict[str, Any]


class PythonDriver:
    """One client, and what can be ordered."""

    _client: Client

    async def connect(self, order: Order) -> Any:
        if hasattr(self, "_client"):
            await self._client.close()
        ca = order.get("ca")
        self._client = connect(
            order["server"], token=order.get("token"), ca_certificate=ca and Path(ca)
        )

    async def upload_task(self, order: Order) -> Any:
        return MessageToDict(await self._client.tasks.upload(Path(order["bundle"])))

    async def create(self, order: Order) -> Any:
        run = await self._client.runs.create(
            order["task"],
            inputs_of(order),
            start=order.get("start", False),
            request_id=order.get("request_id"),
        )
        return MessageToDict(run)

    async def provision(self, order: Order) -> Any:
        return MessageToDict(await self._client.runs.provision(order["run"], inputs_of(order)))

    async def start(self, order: Order) -> Any:
        return MessageToDict(await self._client.runs.start(order["run"]))

    async def cancel(self, order: Order) -> Any:
        return MessageToDict(await self._client.runs.cancel(order["run"]))

    async def run(self, order: Order) -> Any:
        return MessageToDict(await self._client.runs.get(order["run"]))

    async def wait(self, order: Order) -> Any:
        return MessageToDict(await self._client.runs.wait(order["run"]))

    async def watch(self, order: Order) -> Any:
        watching = self._client.runs.watch(order["run"], after_revision=order.get("after", 0))
        async for answer in watching:
            say("event", MessageToDict(answer.event))

    async def logs(self, order: Order) -> Any:
        pieces = self._client.runs.logs(order["run"], cursor=order.get("cursor", 0), follow=True)
        return b"".join([piece async for piece in pieces]).decode()

    async def inputs(self, order: Order) -> Any:
        return [MessageToDict(one) for one in await self._client.runs.inputs(order["run"])]

    async def outputs(self, order: Order) -> Any:
        return [MessageToDict(one) for one in await self._client.runs.outputs(order["run"])]

    async def download(self, order: Order) -> Any:
        resource = storage_service_pb2.Resource(path=order.get("path", ""))
        setattr(resource, f"run_{order['of']}", order["run"])
        fetched = await self._client.runs.download(resource, Path(order["folder"]))
        return {
            "names": list(fetched.names),
            "bytes": fetched.total_bytes,
            "files": fetched.file_count,
        }


def inputs_of(order: Order) -> dict[str, Any]:
    return {name: python_of(given) for name, given in order.get("inputs", {}).items()}


def python_of(given: dict[str, Any]) -> Any:
    """An input as the tests write it, as a Python value."""
    match given:
        case {"integer": text}:
            return int(text)
        case {"number": text}:
            return float(text)
        case {"file": path, "companion": companion}:
            return LocalFile(path=Path(path), companion=Path(companion))
        case {"file": path}:
            return Path(path)
        case {"reference": path}:
            return Reference(path)
        case {"pattern": text}:
            return Reference.pattern(text)
        case {"array": items}:
            return [python_of(item) for item in items]
        case {"null": _}:
            return None
        case _:
            [plain] = given.values()
            return plain


def say(what: str, content: Any) -> None:
    print(json.dumps({what: content}), flush=True)


def described(error: AppEngineError) -> dict[str, Any]:
    if not isinstance(error, ServerError):
        return {"message": error.message}
    return {
        "status": error.status,
        "reason": error.reason,
        "message": error.message,
        "problems": [
            {"path": one.path, "reason": one.reason, "message": one.message}
            for one in error.problems
        ],
        "fields": dict(error.fields),
    }


async def main() -> None:
    driver = PythonDriver()
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        try:
            answer = await getattr(driver, order["do"])(order)
        except AppEngineError as error:
            say("error", described(error))
        else:
            say("ok", answer)


if __name__ == "__main__":
    asyncio.run(main())
