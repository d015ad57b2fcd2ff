"""AgentService: a thin handler over `runs.agents`, for the transfer agents of cluster mode."""

from __future__ import annotations

from appengine.v1 import agent_service_pb2 as pb
from appengine.v1 import agent_service_pb2_grpc as pb_grpc
from google.protobuf.duration_pb2 import Duration

from appengine_server.rpc import parse
from appengine_server.rpc.interceptors.identity import agent_of
from appengine_server.rpc.interceptors.surround import Context
from appengine_server.runs.agents import Agents


class AgentService(pb_grpc.AgentServiceServicer):
    """Borrows everything that it is given."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def Synchronize(
        self, request: pb.SynchronizeRequest, context: Context
    ) -> pb.SynchronizeResponse:
        who = agent_of(context)
        self._agents.check_own(who, request.run_id, request.attempt)
        answer = await self._agents.synchronize(who, parse.agent_word(request))
        again = Duration()
        again.FromTimedelta(answer.call_again_after)
        return pb.SynchronizeResponse(
            order=pb.AgentOrder.Value(f"AGENT_ORDER_{answer.order}"),
            call_again_after=again,
            upload_id=str(answer.upload_id) if answer.upload_id else "",
            outputs=answer.outputs,
        )
