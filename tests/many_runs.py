"""Fills a database with as many runs as an installation has after years, and names what to ask."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from appengine_server.database.records import RunState
from appengine_server.database.run_queries import RunQuery

PROJECT = "lab"
TASKS = 50
RARE_TASK = 50
"""Few runs are of it, and old ones."""
YEARS = 2

_TASKS_SQL = """
    INSERT INTO tasks (id, project, owner, namespace, version, state, cpus, ram_bytes, gpus,
                       has_logo, image)
    SELECT md5('task' || n)::uuid, 'shared', 'anna', 'org.example.task' || n % 10,
           '1.' || n || '.0', 'READY', 1, 64 << 20, 0, false, 'sha256:' || repeat('1', 64)
      FROM generate_series(1, $1) n"""

# Spread over the years; three of four in one project, one in 30 failed, one in 1,000 cancelled.
_FINISHED_SQL = """
    INSERT INTO runs (id, project, owner, task_id, state, labels, inputs, outputs, attempt,
                      outputs_attempt, revision, created_at, started_at, ended_at, state_since,
                      updated_at)
    SELECT md5('run' || n)::uuid, CASE WHEN n % 4 = 0 THEN 'clinic' ELSE 'lab' END, 'anna',
           md5('task' || CASE WHEN n % ($1 / 10) = 5 AND n < $1 / 2 THEN $3
                              ELSE 1 + n % 49 END)::uuid,
           CASE WHEN n % 1000 = 1 THEN 'CANCELLED' WHEN n % 30 = 1 THEN 'FAILED'
                ELSE 'SUCCEEDED' END,
           jsonb_build_object('batch', 'b' || n / 100, 'site', CASE WHEN n % 2 = 0 THEN 'north'
                              ELSE 'south' END)
           || CASE WHEN n % ($1 / 5) = 1 THEN '{"rare": "yes"}'::jsonb ELSE '{}' END,
           '{"image": {"upload": "5e8e1d5e-54f6-4a5e-9d3e-0d5a0d6b8f11"}}',
           '{"count": {"value": {"kind": "integer", "value": 7}}}', 1, 1, 6, at, at,
           at + interval '5 min', at + interval '5 min', at + interval '5 min'
      FROM generate_series(1, $1) n,
           LATERAL (SELECT now() - $2::interval * (1 - n / ($1 + 1)::float) AS at) moment"""

_ACTIVE_SQL = """
    INSERT INTO runs (id, project, owner, task_id, state, labels, attempt, revision, started_at,
                      next_look_at)
    SELECT md5('active' || n)::uuid, 'lab', 'anna', md5('task' || 1 + n % 49)::uuid, state,
           '{"batch": "now"}', CASE WHEN state = 'RUNNING' THEN 1 ELSE 0 END, 4,
           CASE WHEN state <> 'PROVISIONED' THEN now() END,
           CASE WHEN state <> 'PROVISIONED' THEN now() + interval '15 s' * (n / $1::float) END
      FROM generate_series(1, $1) n,
           LATERAL (SELECT CASE n % 10 WHEN 0 THEN 'PROVISIONED' WHEN 1 THEN 'QUEUED'
                           ELSE 'RUNNING' END AS state) s"""

_REST_SQL = (
    """INSERT INTO attempts (run_id, number, cpus, ram_bytes, gpus, submitted_at, released_at,
                             phases)
       SELECT id, 1, 1, 64 << 20, 0, started_at, ended_at,
              jsonb_build_array(jsonb_build_object('name', 'running', 'start', started_at,
                                                   'end', ended_at, 'moved_bytes', 0))
         FROM runs WHERE attempt = 1""",
    """INSERT INTO run_events (run_id, project, revision, state, attempt, at)
       SELECT id, project, 1, 'QUEUED', 0, created_at FROM runs""",
    """INSERT INTO run_events (run_id, project, revision, state, attempt, at)
       SELECT id, project, revision, state, attempt, updated_at FROM runs""",
    """INSERT INTO run_labels (run_id, project, key, value, created_at)
       SELECT r.id, r.project, l.key, l.value, r.created_at
         FROM runs r, jsonb_each_text(r.labels) l""",
)


async def fill(connection: Any, *, finished: int, active: int) -> None:
    """Insert tasks and runs; the connection is a superuser's, whom no trigger holds up."""
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(_TASKS_SQL, TASKS)
    await connection.execute(
        _FINISHED_SQL, finished, timedelta(days=365 * YEARS), RARE_TASK, timeout=3600
    )
    await connection.execute(_ACTIVE_SQL, active)
    for statement in _REST_SQL:
        await connection.execute(statement, timeout=3600)
    await connection.execute("RESET session_replication_role")
    await connection.execute("VACUUM ANALYZE", timeout=3600)


def task_id(number: int) -> UUID:
    return _md5(f"task{number}")


def finished_run_id(number: int) -> UUID:
    """From 1, the oldest, to as many as there are."""
    return _md5(f"run{number}")


def _md5(text: str) -> UUID:
    return UUID(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())


def queries() -> dict[str, tuple[RunQuery, str]]:
    """Each filter, common and rare, with the index (a pattern) by which its page must be read."""
    long_ago = datetime.now(UTC) - timedelta(days=300 * YEARS)
    failed, cancelled = (RunState.FAILED,), (RunState.CANCELLED,)
    going_on = (RunState.QUEUED, RunState.RUNNING)

    def of(index: str, **given: Any) -> tuple[RunQuery, str]:
        return RunQuery(project=PROJECT, **given), index

    return {
        "all": of("runs_newest"),
        "of a project without runs": (RunQuery(project="empty"), "runs_newest"),
        "of a task": of("runs_by_task", task_id=task_id(2)),
        "of a rare task": of("runs_by_task", task_id=task_id(RARE_TASK)),
        "of a namespace": of("runs_by_task", task_namespace="org.example.task2"),
        "of a version": of(
            "runs_by_task", task_namespace="org.example.task0", task_version="1.50.0"
        ),
        "of a task that is not there": of("runs_by_task", task_namespace="org.example.none"),
        "going on": of("runs_(by_state|active_by_project)", states=going_on),
        "failed": of("runs_by_state", states=failed),
        "failed or cancelled": of("runs_by_state", states=failed + cancelled),
        "of a common label": of("run_labels_newest", labels={"site": "north"}),
        "of a batch": of("run_labels_newest", labels={"batch": "b7"}),
        "of a rare label": of("run_labels_newest", labels={"rare": "yes"}),
        "of a label that is nowhere": of("run_labels_newest", labels={"no": "where"}),
        "created long ago": of("runs_newest", created_before=long_ago),
        "created of late": of("runs_newest", created_from=datetime.now(UTC) - timedelta(days=1)),
        "failed, of a task": of("runs_by_", task_id=task_id(2), states=failed),
        "failed, of a batch": of("run_labels_newest", labels={"batch": "b7"}, states=failed),
        "of two labels": of("run_labels_newest", labels={"site": "north", "rare": "yes"}),
    }
