"""Completes refusals: an answer holds only as many problems as fit into it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from appengine.v1 import problem_pb2

from appengine_client.errors import AppEngineError, InvalidArgument, Problem

Response = TypeVar("Response")


async def with_all_problems(
    call: Callable[[], Awaitable[Response]],
    validate: Callable[[], Awaitable[Iterable[problem_pb2.Problem]]],
) -> Response:
    """Await `call`. When it is refused with more problems than it names, ask for all of them."""
    try:
        return await call()
    except InvalidArgument as error:
        refusal = error
    if refusal.details.problem_count > len(refusal.problems):
        refusal = await _completed(refusal, validate)
    raise refusal


async def _completed(
    refusal: InvalidArgument, validate: Callable[[], Awaitable[Iterable[problem_pb2.Problem]]]
) -> InvalidArgument:
    try:
        problems = [from_proto(problem) for problem in await validate()]
    except AppEngineError:  # the first answer is what the user must see
        return refusal
    if len(problems) < len(refusal.problems):
        return refusal
    details = replace(refusal.details, problems=tuple(problems), problem_count=len(problems))
    return InvalidArgument(refusal.message, details)


def from_proto(problem: problem_pb2.Problem) -> Problem:
    """A problem out of a message."""
    return Problem(
        path=problem.path, reason=problem.reason, message=problem.message, line=problem.line
    )
