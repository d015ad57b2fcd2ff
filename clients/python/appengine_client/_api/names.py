"""Names of tasks, as people write them."""

from __future__ import annotations

import uuid

from appengine.v1 import task_service_pb2 as pb

from appengine_client.errors import InvalidValue


def task_name(text: str, project: str = "") -> pb.TaskName:
    """`NAMESPACE:VERSION` or a task's id, as a message. Raises InvalidValue for anything else."""
    namespace, separator, version = text.rpartition(":")
    if namespace and version:
        return pb.TaskName(project=project, namespace=namespace, version=version)
    if separator or not _is_uuid(text):
        raise InvalidValue(
            f"{text!r} is no task: give NAMESPACE:VERSION, NAMESPACE:latest, or a task's id "
            "(appengine task list shows them)"
        )
    return pb.TaskName(id=text, project=project)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
