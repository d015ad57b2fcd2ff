"""Prepares an attempt: the folders that the task sees, and what the scheduler is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from appengine_server.database.records import Json, RunRecord, TaskRecord
from appengine_server.runs.layout import lay_out_once
from appengine_server.runs.references import References, failure_of
from appengine_server.runs.stored import inputs_from_json
from appengine_server.scheduling.scheduler import (
    AttemptRef,
    AttemptSpec,
    Resources,
    SubmissionRefused,
)
from appengine_server.settings import RunSettings
from appengine_server.storage.layout import StorageLayout
from appengine_server.tasks.tasks import Tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Prepares attempts. Doing it twice gives the same."""

    layout: StorageLayout
    tasks: Tasks
    settings: RunSettings
    references: References

    async def prepare(self, run: RunRecord, task: TaskRecord, inputs: Json) -> AttemptSpec:
        """Lay out the inputs and make the output folder of the run's newest attempt.

        Raises SubmissionRefused when a file of a dataset is no longer what it was.
        """
        assert task.image is not None
        attempt = run.attempts[-1]
        descriptor = await self.tasks.descriptor(run.task_id)
        stored = inputs_from_json(inputs)
        checked = await self.references.check(run.project, stored)
        if checked.problems:
            raise SubmissionRefused(failure_of(checked.problems))
        inputs_path = await asyncio.to_thread(lay_out_once, self.layout, run.id, descriptor, stored)
        outputs_path = await asyncio.to_thread(self.layout.make_attempt, run.id, run.attempt)
        return AttemptSpec(
            ref=AttemptRef(run.id, run.attempt),
            project=run.project,
            image=task.image,
            user=task.image_user or "",
            resources=Resources(cpus=attempt.cpus, ram_bytes=attempt.ram_bytes, gpus=attempt.gpus),
            gpu_devices=tuple(attempt.gpu_devices),
            network=descriptor.resources.internet,
            inputs_path=inputs_path,
            outputs_path=outputs_path,
            input_folder=descriptor.input_folder,
            output_folder=descriptor.output_folder,
            dataset_paths=checked.folders,
            run_limit=self.settings.run_limit,
            cancel_grace=self.settings.cancel_grace,
        )
