"""RunService: thin handlers over `runs`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from appengine.v1 import run_service_pb2 as pb
from appengine.v1 import run_service_pb2_grpc as pb_grpc

from appengine_server.rpc import build, pages, parse
from appengine_server.rpc.interceptors.identity import principal_of
from appengine_server.rpc.interceptors.surround import Context
from appengine_server.rpc.parameter_values import Page, ParameterValues
from appengine_server.runs.runs import Runs
from appengine_server.runs.watching import Watching


class RunService(pb_grpc.RunServiceServicer):
    """Borrows everything that it is given."""

    def __init__(self, runs: Runs, watching: Watching, values: ParameterValues) -> None:
        self._runs = runs
        self._watching = watching
        self._values = values

    async def CreateRun(
        self, request: pb.CreateRunRequest, context: Context
    ) -> pb.CreateRunResponse:
        principal, order = principal_of(context), parse.run_order(request)
        if request.validate_only:
            problems = await self._runs.check(principal, order)
            return pb.CreateRunResponse(problems=build.problems(problems))
        return pb.CreateRunResponse(run=build.run(await self._runs.create(principal, order)))

    async def ProvisionInputs(
        self, request: pb.ProvisionInputsRequest, context: Context
    ) -> pb.ProvisionInputsResponse:
        principal, run_id = principal_of(context), parse.uuid(request.run_id, "run_id")
        given = parse.given_inputs(request.inputs)
        if request.validate_only:
            run, problems = await self._runs.check_inputs(principal, run_id, given)
            return pb.ProvisionInputsResponse(run=build.run(run), problems=build.problems(problems))
        run = await self._runs.provision(principal, run_id, given)
        return pb.ProvisionInputsResponse(run=build.run(run))

    async def StartRun(self, request: pb.StartRunRequest, context: Context) -> pb.StartRunResponse:
        run_id = parse.uuid(request.run_id, "run_id")
        run = await self._runs.start(principal_of(context), run_id)
        return pb.StartRunResponse(run=build.run(run))

    async def CancelRun(
        self, request: pb.CancelRunRequest, context: Context
    ) -> pb.CancelRunResponse:
        run_id = parse.uuid(request.run_id, "run_id")
        run = await self._runs.cancel(principal_of(context), run_id)
        return pb.CancelRunResponse(run=build.run(run))

    async def RetryRun(self, request: pb.RetryRunRequest, context: Context) -> pb.RetryRunResponse:
        run_id = parse.uuid(request.run_id, "run_id")
        same = parse.request(request, request.request_id)
        run = await self._runs.retry(principal_of(context), run_id, same)
        return pb.RetryRunResponse(run=build.run(run))

    async def DeleteRun(
        self, request: pb.DeleteRunRequest, context: Context
    ) -> pb.DeleteRunResponse:
        await self._runs.delete(principal_of(context), parse.uuid(request.run_id, "run_id"))
        return pb.DeleteRunResponse()

    async def GetRun(self, request: pb.GetRunRequest, context: Context) -> pb.GetRunResponse:
        run_id = parse.uuid(request.run_id, "run_id")
        return pb.GetRunResponse(run=build.run(await self._runs.get(principal_of(context), run_id)))

    async def ListRuns(self, request: pb.ListRunsRequest, context: Context) -> pb.ListRunsResponse:
        query = pages.query_of(request)
        page = await self._runs.list_page(
            parse.run_query(request.filter, principal_of(context)),
            before=pages.read_time_token(request.page_token, query),
            limit=pages.page_size(request.page_size),
        )
        token = pages.make_time_token(query, page.next_before)
        runs = [build.run(run) for run in page.runs]
        return pb.ListRunsResponse(runs=runs, next_page_token=token)

    async def WatchRun(
        self, request: pb.WatchRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunResponse]:
        run_id = parse.uuid(request.run_id, "run_id")
        after = parse.not_negative(request.after_revision, "after_revision")
        async for watched in self._watching.run(principal_of(context), run_id, after):
            yield pb.WatchRunResponse(
                event=build.event(watched.event),
                run=build.run(watched.run) if watched.run else None,
            )

    async def WatchRuns(
        self, request: pb.WatchRunsRequest, context: Context
    ) -> AsyncIterator[pb.WatchRunsResponse]:
        query = parse.run_query(request.filter, principal_of(context))
        async for watched in self._watching.many(query, request.resume_token):
            yield pb.WatchRunsResponse(
                event=build.event(watched.event) if watched.event else None,
                resume_token=watched.resume_token,
            )

    async def TailLogs(
        self, request: pb.TailLogsRequest, context: Context
    ) -> AsyncIterator[pb.TailLogsResponse]:
        pieces = self._watching.log(
            principal_of(context),
            parse.uuid(request.run_id, "run_id"),
            attempt=parse.not_negative(request.attempt, "attempt"),
            cursor=parse.not_negative(request.cursor, "cursor"),
            follow=request.follow,
        )
        async for piece in pieces:
            yield pb.TailLogsResponse(
                data=piece.data, next_cursor=piece.next_cursor, attempt=piece.attempt
            )

    async def GetRunInputs(
        self, request: pb.GetRunInputsRequest, context: Context
    ) -> pb.GetRunInputsResponse:
        run_id = parse.uuid(request.run_id, "run_id")
        page = await self._values.inputs(principal_of(context), run_id, _page(request))
        return pb.GetRunInputsResponse(inputs=page.values, next_page_token=page.next_token)

    async def GetRunOutputs(
        self, request: pb.GetRunOutputsRequest, context: Context
    ) -> pb.GetRunOutputsResponse:
        run_id = parse.uuid(request.run_id, "run_id")
        page = await self._values.outputs(principal_of(context), run_id, _page(request))
        return pb.GetRunOutputsResponse(outputs=page.values, next_page_token=page.next_token)


def _page(request: pb.GetRunInputsRequest | pb.GetRunOutputsRequest) -> Page:
    return Page(
        parameter=request.parameter,
        items=pages.page_size(request.page_size, default=1000, largest=100_000),
        token=request.page_token,
        query=pages.query_of(request),
    )
