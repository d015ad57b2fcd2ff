"""What belongs to a project of others is not there: not by any RPC, not by a hint.

The RPCs are those that the server itself lists. One without a case here fails the first test.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from appengine.v1 import run_service_pb2 as runs
from appengine.v1 import task_service_pb2 as tasks
from appengine_client import connect
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from tests.container.callers import Caller, empty_request, issue_certificate
from tests.container.foreign_calls import FOREIGN_CALLS, ForeignCall
from tests.container.worlds import World, fill, nowhere
from tests.server_process import ServerProcess

pytestmark = [pytest.mark.container, pytest.mark.timeout(120)]

PROJECTS = {
    "anna": "anna-lab",
    "bert": "bert-lab",
    "carl": "carl-lab,anna-lab,bert-lab",
    "sara": "shared",
}
SETTINGS = {"RUN_CANCEL_GRACE": "0", "SCHEDULER_SHM": "16Mi", "SCHEDULER_CPUS": "8"}


def token_of(name: str) -> str:
    return f"token-of-{name}-0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A server on which two projects and the shared one have things."""

    server: ServerProcess
    address: str
    ca_certificate: bytes
    callers: dict[str, Caller]
    annas: World
    berts: World
    shared: World
    rpcs: dict[str, bool]
    """What the server says that it offers, and whether each only reads."""


@pytest.fixture(scope="module")
async def scene(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder = tmp_path_factory.mktemp("principals")
    ca_certificate, tls = issue_certificate(folder)
    tokens = folder / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(
        "".join(f"{token_of(name)} {name} {theirs}\n" for name, theirs in PROJECTS.items())
    )
    settings = {**SETTINGS, **tls, "TOKENS_FILE": str(tokens)}
    server = ServerProcess(folder=folder, engine_url=engine_url, settings=settings)
    await asyncio.to_thread(server.start)
    try:
        async with AsyncExitStack() as stack:
            callers, worlds = {}, {}
            for name in PROJECTS:
                callers[name] = Caller(server.address, ca_certificate, token_of(name))
                stack.push_async_callback(callers[name].close)
            for name in ("anna", "bert", "sara"):
                client = await stack.enter_async_context(
                    connect(server.address, token=token_of(name), ca_certificate=ca_certificate)
                )
                project = PROJECTS[name]
                worlds[name] = await fill(project, client, callers[name], folder)
                stack.push_async_callback(client.runs.cancel, worlds[name].running_run)
            yield Scene(
                server=server,
                address=server.address,
                ca_certificate=ca_certificate,
                callers=callers,
                annas=worlds["anna"],
                berts=worlds["bert"],
                shared=worlds["sara"],
                rpcs=await callers["anna"].reflected_rpcs(),
            )
    finally:
        await asyncio.to_thread(server.stop)


each_foreign_call = pytest.mark.parametrize(
    "foreign", FOREIGN_CALLS, ids=lambda one: f"{one.rpc.partition('/')[2]}: {one.what}"
)


async def state_of(world: World, caller: Caller) -> list[str]:
    """All that can be seen of a world by whom it belongs to."""
    answers = [await caller.call(rpc, request) for rpc, request in world.views()]
    assert {answer.code for answer in answers} == {grpc.StatusCode.OK}
    return [answer.seen() for answer in answers]


async def test_every_rpc_of_the_server_has_a_case(scene: Scene) -> None:
    assert scene.rpcs.keys() == {one.rpc for one in FOREIGN_CALLS}


@each_foreign_call
async def test_what_belongs_to_others_is_as_if_it_were_not(
    scene: Scene, foreign: ForeignCall
) -> None:
    anna, bert = scene.callers["anna"], scene.callers["bert"]
    nothing = nowhere()
    before = await state_of(scene.annas, anna)
    reached = await bert.call(foreign.rpc, *foreign.requests(scene.annas))
    asked = await bert.call(foreign.rpc, *foreign.requests(nothing))
    assert reached.code is foreign.foreign, reached.seen()
    assert scene.annas.hide(reached.seen()) == nothing.hide(asked.seen())
    assert await state_of(scene.annas, anna) == before
    told = " ".join(str(request) for request in foreign.requests(scene.annas))
    unsaid = set(scene.annas.traces_in(reached.seen())) - set(scene.annas.traces_in(told))
    assert not unsaid, "the answer tells more than the caller had said"


@each_foreign_call
async def test_the_shared_project_is_read_by_all_and_changed_by_its_own(
    scene: Scene, foreign: ForeignCall
) -> None:
    bert, sara = scene.callers["bert"], scene.callers["sara"]
    before = await state_of(scene.shared, sara)
    reads = scene.rpcs[foreign.rpc]
    usual = grpc.StatusCode.OK if reads else grpc.StatusCode.PERMISSION_DENIED
    answer = await bert.call(foreign.rpc, *foreign.requests(scene.shared))
    assert answer.code is (foreign.shared or usual), answer.seen()
    assert await state_of(scene.shared, sara) == before


@pytest.mark.parametrize("token", [None, "wrong-wrong-wrong-wrong"], ids=["none", "wrong"])
async def test_without_a_valid_token_no_rpc_answers(scene: Scene, token: str | None) -> None:
    stranger = Caller(scene.address, scene.ca_certificate, token)
    try:
        answers = {rpc: await stranger.call(rpc, empty_request(rpc)) for rpc in scene.rpcs}
    finally:
        await stranger.close()
    codes = {rpc: answer.code for rpc, answer in answers.items()}
    assert codes == dict.fromkeys(scene.rpcs, grpc.StatusCode.UNAUTHENTICATED)
    assert not any(answer.messages for answer in answers.values())


async def test_strangers_see_the_health_and_not_the_services(scene: Scene) -> None:
    credentials = grpc.ssl_channel_credentials(scene.ca_certificate)
    async with grpc.aio.secure_channel(scene.address, credentials) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        listing = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        assert await listing.code() is grpc.StatusCode.UNAUTHENTICATED


# ---- the agents of attempts


@pytest.fixture(params=["FETCH", "TRANSFER"])
async def agent(scene: Scene, request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    """An agent of anna's running run. This scheduler gives it no token, so it gets one here."""
    token = f"appengine-attempt-{uuid4().hex}"
    [socket] = (scene.server.storage / "postgres").rglob(".s.PGSQL.5432")
    database = await asyncpg.connect(host=str(socket.parent), user="appengine", database="postgres")
    try:
        await database.execute(
            "INSERT INTO attempt_tokens (token_hash, run_id, attempt, direction)"
            " VALUES ($1, $2, 1, $3)",
            hashlib.sha256(token.encode()).digest(), UUID(scene.annas.running_run), request.param,
        )  # fmt: skip
    finally:
        await database.close()
    caller = Caller(scene.address, scene.ca_certificate, token)
    yield caller
    await caller.close()


_FOR_ALL = "StorageService/GetCapabilities"


@each_foreign_call
async def test_the_token_of_an_attempt_opens_nothing_of_others(
    scene: Scene, foreign: ForeignCall, agent: Caller
) -> None:
    anna, bert = scene.callers["anna"], scene.callers["bert"]
    before = await state_of(scene.annas, anna), await state_of(scene.berts, bert)
    for world in (scene.berts, scene.shared, nowhere()):
        answer = await agent.call(foreign.rpc, *foreign.requests(world))
        if foreign.rpc == _FOR_ALL:
            assert answer.code is grpc.StatusCode.OK
        else:
            assert answer.code is grpc.StatusCode.PERMISSION_DENIED, answer.seen()
            assert not answer.messages
    assert (await state_of(scene.annas, anna), await state_of(scene.berts, bert)) == before


@each_foreign_call
async def test_the_token_of_an_attempt_does_not_do_what_users_do_in_its_own_project(
    scene: Scene, foreign: ForeignCall, agent: Caller
) -> None:
    anna = scene.callers["anna"]
    before = await state_of(scene.annas, anna)
    answer = await agent.call(foreign.rpc, *foreign.requests(scene.annas))
    if foreign.rpc == _FOR_ALL:
        assert answer.code is grpc.StatusCode.OK
    elif foreign.what in {"as the agent of their run", "of outputs of their run"}:
        assert answer.code in {  # which of them is for its direction: see test_agents
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.ABORTED,
            grpc.StatusCode.PERMISSION_DENIED,
        }
    else:
        assert answer.code is grpc.StatusCode.PERMISSION_DENIED, answer.seen()
        assert not answer.messages
    assert await state_of(scene.annas, anna) == before


async def test_each_lists_only_their_own(scene: Scene) -> None:
    for name, own, other in (
        ("anna", scene.annas, scene.berts),
        ("bert", scene.berts, scene.annas),
    ):
        listed = await scene.callers[name].call("RunService/ListRuns", runs.ListRunsRequest())
        watched = await scene.callers[name].call(
            "RunService/WatchRuns", runs.WatchRunsRequest(resume_token="0.0")
        )
        found = await scene.callers[name].call(
            "TaskService/ListTasks", tasks.ListTasksRequest(include_shared=True)
        )
        for answer in (listed, watched):
            assert own.finished_run in answer.seen()
        assert {task.project for task in found.messages[0].tasks} == {own.project, "shared"}
        for answer in (listed, watched, found):
            assert other.traces_in(answer.seen()) == []


async def test_a_member_of_both_projects_sees_both(scene: Scene) -> None:
    carl = scene.callers["carl"]
    for world in (scene.annas, scene.berts):
        await state_of(world, carl)
        page = await carl.one(
            "RunService/ListRuns",
            runs.ListRunsRequest(filter=runs.RunFilter(project=world.project)),
        )
        assert world.running_run in {run.id for run in page.runs}
        assert {run.project for run in page.runs} == {world.project}
    own = await carl.one("RunService/ListRuns", runs.ListRunsRequest())
    assert list(own.runs) == []
