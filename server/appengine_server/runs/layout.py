"""Lays the inputs of a run out as the folder that its task sees.

The folder is made beside its place and gets there by a rename, so that no reader sees half of it.
Bytes of uploads are linked, never copied.
"""

from __future__ import annotations

import contextlib
import errno
import os
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

from appengine_server.runs.stored import StoredInput, StoredInputs
from appengine_server.storage.beneath import remove_tree
from appengine_server.storage.layout import StorageLayout

_FOLDER_MODE = 0o755
_FILE_MODE = 0o644


_FRESH = "inputs."
"""What a folder that is being made is called, with something random behind it."""


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
    """Make a folder that shows the inputs of a run that no task has yet. Raises OSError."""
    layout.make_run(run_id)
    target = layout.run(run_id) / "preview"
    fresh = _lay_out(layout, run_id, descriptor, inputs)
    try:
        _replace(target, fresh)
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


def _replace(target: Path, fresh: Path) -> None:
    """Put `fresh` in the place of `target`, which may be there and may be full."""
    old = target.with_name(f"{_FRESH}{uuid4().hex}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(target, old)
    os.rename(fresh, target)
    remove_tree(old)
