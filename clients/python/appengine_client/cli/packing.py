"""`appengine task pack`: a descriptor and an image become a bundle."""

from __future__ import annotations

import os
import tarfile
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from appengine_client.cli.check import Checked
from appengine_client.errors import InvalidValue, LocalFileError
from appengine_client.transfer import Progress

if TYPE_CHECKING:
    from appengine_client.cli.reporting import Reporter

_PIECE_BYTES = 1 << 20
_LOGO = "logo.png"


def pack(checked: Checked, image: Path, bundle: Path | None, shown: Reporter) -> Path:
    """Write the bundle of a descriptor that was checked, and answer its path.

    `image` is an archive as `docker save` writes it; the bundle is NAMESPACE-VERSION.zip in the
    working folder where None is given. It is there whole, or not at all. Raises InvalidValue for
    an image that is no archive, LocalFileError where a file cannot be read or written.
    """
    assert checked.descriptor is not None
    name = f"{checked.descriptor.namespace}-{checked.descriptor.version}"
    descriptor = Path(checked.descriptor_path)
    bundle = bundle or Path(f"{name}.zip")
    unfinished = bundle.with_name(f".{bundle.name}.part")
    try:
        if not tarfile.is_tarfile(image):
            raise InvalidValue(f"{image} is no image archive: make it by `docker save -o {image}`")
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as zipped:  # images are packed
            zipped.write(descriptor, descriptor.name)
            if descriptor.with_name(_LOGO).is_file():
                zipped.write(descriptor.with_name(_LOGO), _LOGO)
            entry = (checked.descriptor.image_file or "").lstrip("/") or f"{name}.tar"
            _store(zipped, entry, image, shown)
        unfinished.replace(bundle)
    except OSError as error:
        where = error.filename or bundle
        raise LocalFileError(f"{where}: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return bundle


def _store(zipped: zipfile.ZipFile, entry: str, image: Path, shown: Reporter) -> None:
    info = zipfile.ZipInfo.from_file(image, entry)
    with image.open("rb") as source, zipped.open(info, "w", force_zip64=True) as target:
        total, done = os.fstat(source.fileno()).st_size, 0
        for piece in iter(partial(source.read, _PIECE_BYTES), b""):
            target.write(piece)
            done += len(piece)
            progress = Progress(done_bytes=done, total_bytes=total, done_files=0, total_files=1)
            shown.transfer("packing the image", progress)
