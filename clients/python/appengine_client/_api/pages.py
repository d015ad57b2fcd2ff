"""Puts together parameters whose arrays came on several pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from appengine.v1 import run_service_pb2 as pb


def joined(pages: Iterable[Iterable[pb.ParameterValue]]) -> Sequence[pb.ParameterValue]:
    """All parameters in order, each once, with arrays whole."""
    parameters: dict[str, pb.ParameterValue] = {}
    for page in pages:
        for part in page:
            whole = parameters.setdefault(part.parameter, part)
            if whole is not part:
                whole.value.array.items.extend(part.value.array.items)
    return list(parameters.values())
