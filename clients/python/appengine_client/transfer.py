"""Moving files to and from a server, for those who need more than `Client` offers.

`push` and `pull` go on where they stopped for as long as anything gets through, and check every
byte. They know nothing of tasks and runs beyond the upload's id and the resource.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from appengine_client._rpc.connection import Connection, new_id
from appengine_client._rpc.retries import Backoff, Patience, UnaryRetries
from appengine_client._rpc.settings import ConnectionSettings, read_settings
from appengine_client._transfer.places import (
    EntryHead,
    Kind,
    Outline,
    Place,
    UploadState,
)
from appengine_client._transfer.pull import DownloadRemote, Fetched, Pull
from appengine_client._transfer.push import OnProgress, Progress, Push, UploadRemote
from appengine_client._transfer.source import (
    Digest,
    LinkRule,
    Source,
    SourceEntry,
    following_links,
    keeping_links,
    link_may_be_absolute,
    link_stays_inside,
)
from appengine_client._transfer.writer import DownloadState

if TYPE_CHECKING:
    from appengine.v1 import storage_service_pb2 as pb

__all__ = [
    "Backoff",
    "Connection",
    "ConnectionSettings",
    "Digest",
    "DownloadRemote",
    "DownloadState",
    "EntryHead",
    "Fetched",
    "Kind",
    "LinkRule",
    "OnProgress",
    "Outline",
    "Patience",
    "Place",
    "Progress",
    "Pull",
    "Push",
    "Source",
    "SourceEntry",
    "UnaryRetries",
    "UploadRemote",
    "UploadState",
    "following_links",
    "keeping_links",
    "link_may_be_absolute",
    "link_stays_inside",
    "pull",
    "push",
    "read_settings",
]

DEFAULT_CHUNK_BYTES = 2 * 1024 * 1024


async def push(
    source: Source,
    connection: Connection,
    upload_id: str,
    *,
    chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    patience: Patience | None = None,
    on_progress: OnProgress | None = None,
    resume: bool = False,
) -> pb.Upload:
    """Send a source to an open upload, and finish it.

    Args:
        source: What to send; made by `following_links` or `keeping_links`.
        connection: To the server that opened the upload. It stays open.
        upload_id: What StartUpload answered.
        chunk_bytes: What StartUpload answered; at most 2 MiB.
        patience: How long to try again without progress.
        on_progress: Called in the event loop after each chunk.
        resume: Ask first what the server holds, for an upload that was begun earlier.

    Returns:
        The finished upload, with the run when it provisioned an input.

    Raises:
        Refused: The server does not take it; the problems are in the error.
        Unavailable: Nothing got through for as long as `patience` allows.
        LocalFileError: A file here cannot be read, or changed meanwhile.
        BrokenTransfer: The upload at the server is of something else, or was dropped.
    """
    from appengine_client._transfer.remotes import GrpcUpload

    return await Push(
        source=source,
        remote=GrpcUpload(connection, upload_id),
        state=UploadState(outline=source.outline, chunk_bytes=chunk_bytes),
        writer_id=new_id(),
        patience=patience or Patience(),
        on_progress=on_progress,
    ).run(resume=resume)


async def pull(
    resource: pb.Resource,
    target: Path,
    connection: Connection,
    *,
    patience: Patience | None = None,
    on_progress: OnProgress | None = None,
    name: str = "",
    link_rule: LinkRule = link_stays_inside,
) -> Fetched:
    """Fetch a file or a tree into a folder, replacing what has the same name there.

    Args:
        resource: What to fetch.
        target: A folder; made when it is missing. It holds nothing new before all has arrived.
        connection: To the server. It stays open.
        patience: How long to try again without progress.
        on_progress: Called in the event loop after each chunk.
        name: A later pull with this name into this folder goes on where this one was killed, or
            where nothing came any more. Empty: it begins anew.
        link_rule: Which links may come; `link_may_be_absolute` where what they lead to is mounted.

    Returns:
        What is new in the folder.

    Raises:
        Refused: The server does not give it.
        Unavailable: Nothing came for as long as `patience` allows.
        LocalFileError: The folder cannot be written.
        BrokenTransfer: The server sent unsafe paths, or bytes that do not match their checksums.
    """
    from appengine_client._transfer.remotes import GrpcDownload

    return await Pull(
        remote=GrpcDownload(connection, resource),
        target=target,
        patience=patience or Patience(),
        on_progress=on_progress,
        name=name,
        link_rule=link_rule,
    ).run()
