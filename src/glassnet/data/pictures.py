"""Read a folder of pictures, one subfolder per class, as a uint8 array."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.datasets import Dataset
from glassnet.data.files import list_folder
from glassnet.data.tables import Column, column_of
from glassnet.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Pictures = NDArray[np.uint8]
ENDINGS = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".bmp",
    ".gif",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
)
_TRAIN, _TEST = ("train", "training"), ("test", "testing", "t10k")


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures (n, h, w) or (n, h, w, 3), their labels or None, a test set or None, and notes."""

    X: NDArray[Any]
    y: Column | None
    test: tuple[NDArray[Any], Column | None] | None
    notes: tuple[str, ...]


def picture_dataset(pictures: LabelledPictures, path: Path, target: str | None) -> Dataset:
    """Return labelled pictures as a data set whose target is "label"; raises `DataError`."""
    if target not in (None, "label"):
        raise DataError(
            f"The pictures of '{path}' have no column '{target}': their classes are the target, "
            "so leave the target out."
        )
    if target is not None and pictures.y is None:
        raise DataError(
            f"The pictures of '{path}' have no classes: put the pictures of each class in a "
            "subfolder."
        )
    shape = "x".join(map(str, pictures.X.shape[1:]))
    tests = f" and {len(pictures.test[0])} for testing" if pictures.test else ""
    size = f"Read {len(pictures.X)} pictures of {shape}{tests} from {path.name or path}."
    label = None if pictures.y is None else "label"
    notes = (size, *pictures.notes)
    return Dataset(pictures.X, pictures.y, pictures.test, str(path), label, notes)


# -------------------------------------------------------------------------------- picture folders


def is_picture_folder(folder: Path) -> bool:
    """Return whether the folder or a folder below it contains pictures."""
    return any(_is_picture(name) for _, _, names in os.walk(folder) for name in names)


def read_picture_folder(folder: Path) -> LabelledPictures:
    """Return the pictures of a folder; the names of its subfolders are their classes.

    Subfolders `train` and `test` may hold such folders themselves. All pictures are resized to the
    commonest size of the training set. They become gray, (n, h, w), if all of them are gray, and
    colour, (n, h, w, 3), otherwise. Pictures in a folder without subfolders have no class. Raises
    `DataError` with the picture that cannot be read.
    """
    inside = {entry.name.lower(): entry for entry in list_folder(folder) if entry.is_dir()}
    train = next((inside[name] for name in _TRAIN if name in inside), None)
    test = next((inside[name] for name in _TEST if name in inside), None)
    notes: list[str] = []
    if train is None:
        train, test = folder, None
    else:
        others = sorted({entry.name for entry in inside.values()} - {train.name, *_name(test)})
        if others:
            notes.append(f"The folders beside '{train.name}' were left out: {', '.join(others)}.")
    paths, y = _labelled(train, notes)
    test_paths, test_y = ([], None) if test is None else _labelled(test, notes)
    if test is not None and (y is None) != (test_y is None):
        raise DataError(
            f"Of '{train}' and '{test}' only one has subfolders: give both one subfolder per class."
        )
    X = _load([*paths, *test_paths], len(paths), notes)
    rest = (X[len(paths) :], test_y) if test_paths else None
    return LabelledPictures(X[: len(paths)], y, rest, tuple(notes))


def _name(folder: Path | None) -> set[str]:
    return set() if folder is None else {folder.name}


def _labelled(folder: Path, notes: list[str]) -> tuple[list[Path], Column | None]:
    """Return the paths of the pictures in a folder, and the name of each one's subfolder."""
    entries = list_folder(folder)
    classes = [entry for entry in entries if entry.is_dir()]
    loose = [entry for entry in entries if entry.is_file() and _is_picture(entry.name)]
    if not classes:
        if not loose:
            raise DataError(f"The folder '{folder}' has no pictures in it.")
        return loose, None
    pictures = {entry.name: _pictures_below(entry) for entry in classes}
    empty = [name for name, paths in pictures.items() if not paths]
    if empty:
        notes.append(f"Folders without pictures were left out: {', '.join(empty[:20])}.")
    if loose:
        notes.append(f"{len(loose)} pictures in '{folder}' itself have no class and were left out.")
    if not any(pictures.values()):
        raise DataError(f"The subfolders of '{folder}' have no pictures in them.")
    labels = [name for name, paths in pictures.items() for _ in paths]
    return [path for paths in pictures.values() for path in paths], column_of(labels)


def _pictures_below(folder: Path) -> list[Path]:
    return sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if _is_picture(name)
    )


def _is_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def _load(paths: Sequence[Path], training: int, notes: list[str]) -> Pictures:
    """Return all pictures in the commonest size of the first `training` ones."""
    sizes = [_size(path) for path in paths]  # read from the headers, without decoding
    counts = Counter(sizes[:training])
    size = max(counts, key=lambda s: (counts[s], s))
    resized = sum(s != size for s in sizes)
    if resized:
        notes.append(f"{resized} pictures were resized to the commonest size, {size[0]}x{size[1]}.")
    pictures: list[Pictures] = [_decode(path, size) for path in paths]
    if any(picture.ndim == 3 for picture in pictures):
        pictures = [p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=-1) for p in pictures]
    return np.stack(pictures)


def _size(path: Path) -> tuple[int, int]:
    from PIL import ExifTags, Image  # lazily: needed for pictures only

    with _guarded(path), Image.open(path) as image:
        rotated = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (image.height, image.width) if rotated else image.size


def _decode(path: Path, size: tuple[int, int]) -> Pictures:
    """Return one picture, upright, transparent parts white; (h, w) if it is gray, else (h, w, 3)."""
    from PIL import Image, ImageOps  # lazily: needed for pictures only

    with _guarded(path), Image.open(path) as image:
        picture = _eight_bit(ImageOps.exif_transpose(image))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture)
        picture = picture if picture.mode == "L" else picture.convert("RGB")
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.BILINEAR)
        pixels = np.asarray(picture, dtype=np.uint8)
    gray = pixels.ndim == 3 and bool((pixels == pixels[..., :1]).all())
    return np.ascontiguousarray(pixels[..., 0]) if gray else pixels


def _eight_bit(image: Image) -> Image:
    """Return a picture in 8 bits per channel; Pillow would clip the 16 bits of deep grays."""
    from PIL import Image  # lazily: needed for pictures only

    if not image.mode.startswith(("I", "F")):
        return image
    pixels = np.asarray(image, dtype=np.float64)
    top = 65535 if pixels.max(initial=0) > 255 else 255
    return Image.fromarray((pixels.clip(0, top) * (255 / top)).round().astype(np.uint8))


class _guarded:  # noqa: N801 - reads like a function in a with statement
    """Turn any error of Pillow into a `DataError` that names the picture, and silence its warnings."""

    def __init__(self, path: Path):
        self.path = path
        self.warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        self.warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.warnings.__exit__(kind, error, trace)
        if isinstance(error, Exception):
            raise DataError(
                f"The picture '{self.path}' cannot be read: it is damaged, too large, or in another "
                "format than its name says. Delete or replace it."
            ) from None
