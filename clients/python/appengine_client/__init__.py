"""Python client of App Engine, which runs containerised image-analysis tasks.

    async with connect("engine.example.org:8080") as client:
        result = await client.run("com.example.nuclei:1.0.0", image=Path("a.png"), min_area=20)
        print(result.outputs["count"])

`client.run` and `client.map` go from inputs to outputs as Python values; `client.tasks`,
`client.runs` and `client.uploads` have every step singly, and answer the API's own messages.
`appengine_client.sync` offers the same without `async`. Errors are those of
`appengine_client.errors`. Names are loaded at their first use, so that importing this package costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from appengine_client._api.client import Client, connect
    from appengine_client._api.geometry import Geometry
    from appengine_client._api.many import Outcome
    from appengine_client._api.mapping import Each
    from appengine_client._api.results import Result
    from appengine_client._api.values import (
        InputPython,
        LocalFile,
        Reference,
        ReferencePattern,
        to_python,
    )
    from appengine_client.errors import AppEngineError, Problem, RunFailed
    from appengine_client.transfer import Progress

__all__ = [
    "AppEngineError",
    "Client",
    "Each",
    "Geometry",
    "InputPython",
    "LocalFile",
    "Outcome",
    "Problem",
    "Progress",
    "Reference",
    "ReferencePattern",
    "Result",
    "RunFailed",
    "connect",
    "to_python",
]

_HOMES = {
    "AppEngineError": "appengine_client.errors",
    "Client": "appengine_client._api.client",
    "Each": "appengine_client._api.mapping",
    "Geometry": "appengine_client._api.geometry",
    "InputPython": "appengine_client._api.values",
    "LocalFile": "appengine_client._api.values",
    "Outcome": "appengine_client._api.many",
    "Problem": "appengine_client.errors",
    "Progress": "appengine_client.transfer",
    "Reference": "appengine_client._api.values",
    "ReferencePattern": "appengine_client._api.values",
    "Result": "appengine_client._api.results",
    "RunFailed": "appengine_client.errors",
    "connect": "appengine_client._api.client",
    "to_python": "appengine_client._api.values",
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
