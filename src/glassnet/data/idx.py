"""Read IDX files, the format of MNIST: arrays of pictures, and their labels in a second file."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.files import list_folder, open_unpacked
from glassnet.data.pictures import LabelledPictures
from glassnet.data.tables import Column, column_of
from glassnet.errors import DataError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(head: bytes) -> bool:
    """Return whether a file starts like IDX: two zeros, a type, and the number of dimensions, 1 to 4."""
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in range(8, 15) and 1 <= head[3] <= 4


def is_idx_folder(folder: Path) -> bool:
    """Return whether a folder holds files with the usual names of IDX."""
    return any(is_idx_name(entry.name) for entry in list_folder(folder))


def is_idx_name(name: str) -> bool:
    """Return whether a file has a usual name of IDX, such as train-images-idx3-ubyte.gz."""
    return re.search(r"(images|labels)[-_.]idx\d", name.lower()) is not None


def read_idx_files(path: Path) -> LabelledPictures:
    """Return pictures and labels from a folder of IDX files, or from one file of images.

    The labels are in the file whose name has `labels` for `images` and `idx1` for `idx3`, with or
    without `.gz`. In a folder, the files with `t10k` or `test` in their names are the test set.
    Raises `DataError` for a wrong magic number, or a file that is too short or too long.
    """
    if path.is_dir():
        images = [
            p for p in list_folder(path) if is_idx_name(p.name) and "images" in p.name.lower()
        ]
        tests = [p for p in images if re.search("t10k|test", p.name.lower())]
        trains = [p for p in images if p not in tests] or tests
        if len({_stem(p) for p in trains}) != 1:
            raise DataError(
                f"'{path}' must hold one file of images for training, but holds {len(trains)}: give "
                "the path of the file to use."
            )
        train, test = trains[0], (tests[0] if tests and trains != tests else None)
    else:
        train, test = path, None
    X, y = _images_and_labels(train)
    rest = None if test is None else _images_and_labels(test)
    if rest is not None and rest[0].shape[1:] != X.shape[1:]:
        raise DataError(
            f"The pictures in '{train.name}' have shape {X.shape[1:]}, but those in "
            f"'{rest and test and test.name}' have shape {rest[0].shape[1:]}: a network needs one "
            "shape, so make them equal."
        )
    return LabelledPictures(X, y, rest, ())


def _images_and_labels(path: Path) -> tuple[NDArray[Any], Column | None]:
    images = read_idx(path)
    if images.ndim < 2:
        raise DataError(f"'{path}' holds labels, not pictures: give the file of images beside it.")
    if images.ndim == 2:
        images = images.astype(np.float64)
    beside = _stem(path).replace("images", "labels").replace(f"idx{images.ndim}", "idx1")
    labels = next((p for p in list_folder(path.parent) if _stem(p) == beside != _stem(path)), None)
    if labels is None:
        return images, None
    y = read_idx(labels)
    if y.ndim != 1 or len(y) != len(images):
        raise DataError(
            f"'{labels}' holds {y.shape} labels for the {len(images)} pictures of '{path.name}': "
            "both files must come from the same data set."
        )
    return images, column_of([str(label) for label in y.tolist()])


def _stem(path: Path) -> str:
    return path.name.lower().removesuffix(".gz")


def read_idx(path: Path) -> NDArray[Any]:
    """Return the array in one IDX file, which may be gzipped; raises `DataError`."""
    with open_unpacked(path) as file:
        head = file.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _DTYPES or head[3] == 0:
            raise DataError(
                f"'{path}' is not an IDX file: it begins with {head.hex(' ') or 'nothing'}, where "
                "00 00, a type (08 to 0e) and the number of dimensions are expected."
            )
        sizes = file.read(4 * head[3])
        shape = [int(n) for n in np.frombuffer(sizes[: len(sizes) // 4 * 4], dtype=">u4")]
        dtype = np.dtype(_DTYPES[head[2]])
        expected = math.prod(shape) * dtype.itemsize
        # read in blocks, because damaged sizes may claim far more memory than the file needs
        body = bytearray()
        while len(body) <= expected and (block := file.read(1 << 24)):
            body += block
    if len(shape) != head[3] or len(body) != expected:
        seen = "more" if len(body) > expected else f"only {len(body)}"
        raise DataError(
            f"'{path}' should hold {' x '.join(map(str, shape))} values in {expected} bytes but "
            f"holds {seen}: copy or download it again."
        )
    array = np.frombuffer(body, dtype=dtype).reshape(shape)
    return array if array.dtype == np.uint8 else array.astype(dtype.newbyteorder("="))
