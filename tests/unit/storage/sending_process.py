"""A process that sends an upload until somebody kills it: `BASE UPLOAD WRITER SEED [FREEZE]`.

What it sends follows from the seed, so the test knows it too. It prints every place it was told.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from appengine_server.storage.layout import StorageLayout
from appengine_server.storage.limits import UploadLimits
from appengine_server.storage.quota import FreeSpace
from appengine_server.storage.tree import Place
from appengine_server.storage.uploads import Uploads
from conftest import FOLDER, Link, Transfer


def transfer_of_seed(seed: int) -> Transfer:
    """Large and small files, empty ones, folders and links."""
    chance = random.Random(seed)
    contents: dict[str, object] = {}
    for number in range(60):
        folder = f"d{chance.randrange(8)}"
        match chance.randrange(8):
            case 0:
                contents[f"{folder}-{number}"] = FOLDER
            case 1:
                contents[f"{folder}/l{number}"] = Link("../x")
            case 2:
                contents[f"{folder}/e{number}"] = b""
            case 3:
                contents[f"{folder}/b{number}"] = chance.randbytes(chance.randrange(400_000))
            case _:
                contents[f"{folder}/s{number}"] = chance.randbytes(chance.randrange(3000))
    return Transfer(contents)


def uploads_at(base: Path) -> Uploads:
    """A storage that persists often, so that kills meet every step."""
    limits = UploadLimits(persist_bytes=100_000, persist_seconds=0.01, takeover_seconds=0.1)
    return Uploads(StorageLayout(base), limits, FreeSpace(base=base, low_water_bytes=0))


async def main(base: Path, upload_id: str, writer_id: str, seed: int, freeze: bool) -> None:
    uploads, transfer = uploads_at(base), transfer_of_seed(seed)
    start = await uploads.place(upload_id)
    async with uploads.open_writer(upload_id, writer_id) as stream:
        told = start
        for chunk in transfer.chunks(7_000, start):
            await stream.write(chunk)
            await asyncio.sleep(0.003)  # as slow as a network
            if stream.persisted != told:
                told = stream.persisted
                print(f"{told.bytes} {told.entries}", flush=True)
                if freeze and told.bytes > transfer.end.bytes // 3:
                    sys.stdin.readline()
                    freeze = False
        assert isinstance(stream.persisted, Place)
        await stream.finish(transfer.end)
        print("finished", flush=True)


if __name__ == "__main__":
    asyncio.run(
        main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), len(sys.argv) > 5)
    )
