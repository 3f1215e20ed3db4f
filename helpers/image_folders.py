"""Where the images of a class lie: in class folders, deeper inside, in train and test folders, or in an archive.

Used by notebook 04 through `radiography`.
"""

import re
from pathlib import Path

from helpers import archives
from helpers.files import DataError

# What holds no radiograph of ours by its ending is passed over; what cannot be read is listed by the reader.
IMAGES = (".png", ".jpg", ".jpeg", ".dcm", ".bmp", ".tif", ".tiff", ".gif", ".webp")
NO_CLASSES = ("masks", "mask", "__macosx")
SETS = ("train", "training", "val", "valid", "validation", "test", "testing")
HEALTHY = ("normal", "health", "nofinding", "negative")


def find_root(folder: Path) -> Path:
    """Find the folder that holds the class folders.

    Args:
        folder: That folder, one around it, a zip archive of it, or a folder with such an archive and no others. An
            archive is unpacked once, under ``build/``.

    Returns:
        The folder of the class folders.

    Raises:
        DataError: If there is no such folder, if it holds several archives, or one that cannot be unpacked.

    Used by notebook 04.
    """
    if folder.is_file():
        folder = archives.unzip_once(folder)
    if not folder.is_dir():
        raise DataError(folder, "there is no such folder", "check the name")
    packed = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".zip" and _counts(path.name))
    if packed and not _inner(folder):
        if len(packed) > 1:
            raise DataError(folder, f"it holds {len(packed)} zip archives", "keep one, which holds all class folders")
        folder = archives.unzip_once(packed[0])
    deeper = folder
    while len(inner := _inner(deeper)) == 1:
        deeper = inner[0]
    return deeper if len(inner) > 1 else folder


def list_images(root: Path) -> dict[str, list[Path]]:
    """List the image files of each class; classes divided into ``train`` and ``test`` are put together again.

    Args:
        root: The folder of the class folders. Hidden files and ``masks`` do not count.

    Returns:
        The files by class, however deep they lie: the healthy class first, then by name.

    Raises:
        DataError: If there are fewer than two classes.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("COVID/images/1.png", "COVID/masks/1.png", "NORMAL/1.png"):
        ...     (root / name).parent.mkdir(parents=True)
        ...     (root / name).touch()
        >>> [(name, len(paths)) for name, paths in list_images(root).items()]
        [('NORMAL', 1), ('COVID', 1)]

    Used by notebook 04.
    """
    folders = _inner(root)
    if folders and all(path.name.lower() in SETS for path in folders):
        folders = [path for part in folders for path in _inner(part)]
    names = sorted({path.name for path in folders}, key=lambda name: (not _is_healthy(name), name))
    if len(names) < 2:
        found = f"it holds {len(names)} class folders ({', '.join(names) or 'none'})"
        raise DataError(root, found, "arrange the images in one folder a class, two or more")
    return {name: [path for folder in folders if folder.name == name for path in _images(folder)] for name in names}


def _inner(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and _counts(path.name))


def _counts(name: str) -> bool:
    return name[0] != "." and name.lower() not in NO_CLASSES


def _is_healthy(name: str) -> bool:
    return re.sub("[ _-]", "", name.lower()).startswith(HEALTHY)


def _images(folder: Path) -> list[Path]:
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGES and path.is_file()]
    return [path for path in found if all(map(_counts, path.relative_to(folder).parts))]
