"""Lays the inputs of a run out as the folder that its task sees.

The folder is made beside its place and gets there by a rename, so that no reader sees half of it.
Bytes of uploads are linked, never copied.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
from pathlib import Path
from uuid import UUID, uuid4

from appengine_contract.descriptor import Descriptor
from appengine_contract.layout import (
    ARRAY_METADATA,
    array_metadata,
    companion_name,
    item_name,
)
from appengine_contract.parameters.array import ArrayType
from appengine_contract.parameters.type import ParameterType
from appengine_contract.values import ReferenceValue

from appengine_server.runs.stored import StoredInput, StoredInputs, inputs_to_json
from appengine_server.storage.beneath import remove_tree
from appengine_server.storage.layout import StorageLayout

_FOLDER_MODE = 0o755
_FILE_MODE = 0o644


_FRESH = "inputs."
"""What a folder that is being made is called, with something random behind it."""
_PREVIEW = "preview."
_PREVIEW_SECONDS = 3600.0
"""How long a preview is left to those who read it, once the inputs are others."""


def lay_out_once(
    layout: StorageLayout, run_id: UUID, descriptor: Descriptor, inputs: StoredInputs
) -> Path:
    """Make the input folder of a run that was started; answers it. Raises OSError.

    One that is there stays as it is: a submission may be done twice, and the task that the first
    one began reads from it.
    """
    target = layout.make_run(run_id)
    if not is_laid_out(layout, run_id):
        fresh = _lay_out(layout, run_id, descriptor, inputs)
        try:
            os.rename(fresh, target)  # onto an empty folder only
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
    for left in layout.run(run_id).glob(f"{_FRESH}*"):  # by a server that was killed
        remove_tree(left)
    return target


def is_laid_out(layout: StorageLayout, run_id: UUID) -> bool:
    """Whether the input folder of a run was made. One without inputs may be made again."""
    inputs = layout.inputs(run_id)
    return inputs.exists() and any(inputs.iterdir())


def lay_out_preview(
    layout: StorageLayout, run_id: UUID, descriptor: Descriptor, inputs: StoredInputs
) -> Path:
    """A folder that shows the inputs of a run that no task has yet. Raises OSError.

    The same inputs are shown by the same folder, so that a download goes on in it, and nobody sees
    it come or go. Those of earlier inputs stay for a while: somebody may be reading them.
    """
    layout.make_run(run_id)
    known = json.dumps(inputs_to_json(inputs), sort_keys=True).encode()
    target = layout.run(run_id) / f"{_PREVIEW}{hashlib.sha256(known).hexdigest()[:16]}"
    if target.is_dir():
        return target
    for earlier in layout.run(run_id).glob(f"{_PREVIEW}*"):
        with contextlib.suppress(FileNotFoundError):  # another call does the same
            if time.time() - earlier.stat().st_mtime > _PREVIEW_SECONDS:
                remove_tree(earlier)
    fresh = _lay_out(layout, run_id, descriptor, inputs)
    try:
        os.rename(fresh, target)
    except OSError as error:  # another call was first
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
    finally:
        remove_tree(fresh)
    return target


def _lay_out(
    layout: StorageLayout, run_id: UUID, descriptor: Descriptor, inputs: StoredInputs
) -> Path:
    fresh = layout.run(run_id) / f"{_FRESH}{uuid4().hex}"
    _folder(fresh)
    for parameter in descriptor.inputs:
        given = inputs.by_name.get(parameter.name)
        if given is not None:
            _place(layout, run_id, parameter.type, given, root=fresh, name=parameter.name)
    return fresh


def link_tree(source: Path, target: Path) -> None:
    """Make `target` a tree of hard links to the files of `source`. Raises OSError."""
    if not source.is_dir() or source.is_symlink():
        os.link(source, target, follow_symlinks=False)
        return
    _folder(target)
    with os.scandir(source) as entries:
        for entry in entries:
            link_tree(Path(entry.path), target / entry.name)


def _place(
    layout: StorageLayout,
    run_id: UUID,
    type_: ParameterType,
    given: StoredInput,
    *,
    root: Path,
    name: str,
) -> None:
    if given.items is not None and isinstance(type_, ArrayType):
        _folder(root / name)
        (root / name / ARRAY_METADATA).write_bytes(array_metadata(len(given.items)))
        (root / name / ARRAY_METADATA).chmod(_FILE_MODE)
        for index, item in given.items.items():
            _place(
                layout, run_id, type_.subtype, item, root=root, name=f"{name}/{item_name(index)}"
            )
    elif given.upload is not None:
        uploaded = layout.uploaded(run_id, given.upload)
        link_tree(uploaded / name, root / name)
        if given.companion is None and (uploaded / companion_name(name)).is_file():
            link_tree(uploaded / companion_name(name), root / companion_name(name))
    elif isinstance(given.value, ReferenceValue):
        os.symlink(given.value.path, root / name)
    elif given.value is not None:
        type_.write(given.value, root / name)
    if given.companion is not None:
        companion = companion_name(name)
        link_tree(layout.uploaded(run_id, given.companion) / companion, root / companion)


def _folder(path: Path) -> None:
    path.mkdir()
    path.chmod(_FOLDER_MODE)
