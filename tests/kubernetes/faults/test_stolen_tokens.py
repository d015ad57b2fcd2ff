"""Tokens of attempts in the hands of other pods: they open nothing, and disturb nobody."""

from __future__ import annotations

import pytest

from tests.faults.bench import Job
from tests.kubernetes.faults.bench import ClusterBench
from tests.kubernetes.pods import Pods

pytestmark = pytest.mark.timeout(180)

NOT_ALLOWED, STALE = 4, 5
"""The agent's exit codes."""


async def test_a_token_is_for_one_run_and_attempt_and_phase(
    cluster_bench: ClusterBench, agent_image: str
) -> None:
    bench = cluster_bench
    chance = bench.figures.chance("stolen tokens")
    run, other = [await bench.begin(chance, seconds=20) for _ in range(2)]
    for job in (run, other):
        await bench.reached(job, "RUNNING")
    copy_secret(bench, run, "copy")
    tried = {
        "other-run": ("transfer", other, 1),
        "other-attempt": ("transfer", run, 2),
        "phase-over": ("fetch", run, 1),
    }
    for name, (direction, job, attempt) in tried.items():
        start_agent(bench, agent_image, name, direction, job, attempt)
    exits = {name: await exit_of(bench, name) for name in tried}
    assert exits == {"other-run": NOT_ALLOWED, "other-attempt": NOT_ALLOWED, "phase-over": STALE}
    for job in (run, other):
        await bench.check(job)


@pytest.mark.rule("run.late-report")
async def test_the_token_of_an_older_attempt_is_stale(
    cluster_bench: ClusterBench, agent_image: str
) -> None:
    bench = cluster_bench
    job = await bench.begin(bench.figures.chance("older attempt"), seconds=8)
    await bench.reached(job, "RUNNING")
    copy_secret(bench, job, "copy-of-older")
    bench.delete_pod(job)
    await bench.processes(job, "transfer", attempt=2)
    for attempt, code in ((1, STALE), (2, NOT_ALLOWED)):
        name = f"older-{attempt}"
        start_agent(bench, agent_image, name, "transfer", job, attempt, secret="copy-of-older")
        assert await exit_of(bench, name) == code
    await bench.check(job, attempts=[2])


def copy_secret(bench: ClusterBench, job: Job, name: str) -> None:
    """What somebody may have taken while the attempt went on."""
    path = f"/api/v1/namespaces/{bench.namespace}/secrets"
    owned = bench.pod_now(job)["metadata"]["name"].rpartition("-")[0]
    data = bench.cluster.api.get(f"{path}/{owned}")["data"]
    bench.cluster.api.create(path, {"metadata": {"name": name}, "data": data})


def start_agent(
    bench: ClusterBench,
    image: str,
    name: str,
    direction: str,
    job: Job,
    attempt: int,
    *,
    secret: str = "copy",
) -> None:
    """A pod that presents the token for whatever it likes."""
    environment = {
        "APPENGINE_SERVER": bench.server.settings["SCHEDULER_ADVERTISED_URL"],
        "APPENGINE_TOKEN_FILE": "/stolen/token",
        "APPENGINE_RUN_ID": job.run_id,
        "APPENGINE_ATTEMPT": str(attempt),
        "APPENGINE_FOLDER": "/tmp",
    }
    container = {
        "command": ["/opt/appengine/bin/appengine-transfer-agent", direction],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "volumeMounts": [{"name": "stolen", "mountPath": "/stolen"}],
        "resources": {"requests": {"cpu": "10m"}},
    }
    items = [{"key": direction, "path": "token"}]
    volumes = [{"name": "stolen", "secret": {"secretName": secret, "items": items}}]
    pods = Pods(cluster=bench.cluster, namespace=bench.namespace)
    pods.start(name, image, "", container=container, spec={"volumes": volumes})


async def exit_of(bench: ClusterBench, name: str) -> int:
    pods = Pods(cluster=bench.cluster, namespace=bench.namespace)
    ended = await bench.seen(
        lambda: pods.container_status(name)["state"].get("terminated"), f"{name} has ended"
    )
    return int(ended["exitCode"])
