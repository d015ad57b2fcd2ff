"""A server that answered before is waited for while it is away; one that never did is not."""

from __future__ import annotations

import asyncio
import time

import grpc
import grpc.aio
import pytest
from appengine.v1 import task_pb2
from appengine.v1 import task_service_pb2 as pb
from appengine.v1 import task_service_pb2_grpc as pb_grpc
from appengine_client import connect
from appengine_client.errors import Unavailable

NAME = "org.example.task:1.0.0"


class OneTask(pb_grpc.TaskServiceServicer):
    async def GetTask(self, request: pb.GetTaskRequest, context: object) -> pb.GetTaskResponse:
        return pb.GetTaskResponse(task=task_pb2.Task(id="here"))


async def serving(port: int) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    pb_grpc.add_TaskServiceServicer_to_server(OneTask(), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound


async def test_a_server_that_starts_again_is_waited_for() -> None:
    server, port = await serving(0)
    async with connect(f"127.0.0.1:{port}") as client:
        assert (await client.tasks.get(NAME)).id == "here"
        await server.stop(None)
        asking = asyncio.create_task(client.tasks.get(NAME))
        await asyncio.sleep(3)
        assert not asking.done()
        server, _ = await serving(port)
        assert (await asking).id == "here"
        await server.stop(None)


async def test_a_server_that_never_answered_is_given_up_soon() -> None:
    server, port = await serving(0)
    await server.stop(None)
    started = time.monotonic()
    async with connect(f"127.0.0.1:{port}") as client:
        with pytest.raises(Unavailable):
            await client.tasks.get(NAME)
    assert time.monotonic() - started < 5
