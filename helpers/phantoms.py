"""Synthetic twins of the course's data sets, in the files and folders of the real ones, with the truth known.

Used by every notebook that runs without real data. A twin is drawn from (seed, number) alone: same settings, same
files.
"""

import gzip
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import nibabel
import numpy as np

from helpers import anatomy, files, organs, voxels
from helpers.parallel import in_processes

VERSION = 1  # of the drawing: a change that moves voxels raises it, so that stored phantoms are made anew


@dataclass(frozen=True)
class CTSettings:
    """How many chest CT twins to draw, and how finely.

    Args:
        healthy: Scans without opacities, class CT-0.
        ill: Scans with ground-glass opacities, class CT-23.
        matrix: Voxels along each side of an axial slice; scanners use 512.
        seed: Another seed, other patients.
    """

    healthy: int = 132
    ill: int = 132
    matrix: int = 88
    seed: int = 2020


def draw_ct(number: int, ill: bool, settings: CTSettings) -> tuple[np.ndarray, np.ndarray, voxels.Grid]:
    """Draw one scan and its lesions.

    Args:
        number: Which patient.
        ill: Whether the lungs hold ground-glass opacities.
        settings: Size and seed.

    Returns:
        HU as int16 [x, y, z], the lesion mask as bool [x, y, z], and the grid, all with axes RAS+.

    Example:
        >>> hu, lesions, grid = draw_ct(1, True, CTSettings(matrix=48))
        >>> hu.dtype, bool(lesions.any())
        (dtype('int16'), True)

    Seen in notebook 01.
    """
    rng = np.random.default_rng([settings.seed, number])
    chest = anatomy.sample_thorax(rng)
    grid = _choose_grid(chest, settings.matrix, rng)
    reach = np.array([chest.width + 85, chest.depth + chest.fat + 60, 1000])
    box = grid.box(chest.shift - reach, chest.shift + reach)
    drawing = organs.draw_thorax(chest, grid.crop(box))
    # Healthy and ill alike have these; without them any unusual density would give the illness away.
    _add_findings_of_age(drawing, rng)
    inner = _add_opacities(drawing, rng) if ill else np.zeros(drawing.hu.shape, bool)

    hu = np.full(grid.shape, anatomy.AIR, np.float32)
    hu[box] = drawing.hu
    organs.draw_table(hu, chest, grid)
    lesions = np.zeros(grid.shape, bool)
    lesions[box] = inner
    return _scan(hu, grid, rng), lesions, grid


def _choose_grid(chest, matrix, rng):
    """Field of view and slices as a technician would choose them: the whole lungs, never quite centred."""
    pixel = (2 * (chest.width + chest.fat + 17) + rng.uniform(8, 45)) / matrix
    step = rng.uniform(5.0, 8.0)
    low = -chest.height / 2 - rng.uniform(8, 35) + chest.shift[2]
    slices = int((chest.height / 2 + rng.uniform(5, 25) + chest.shift[2] - low) / step)
    origin = (-(matrix - 1) * pixel / 2 + rng.normal(0, 5), -(matrix - 1) * pixel / 2 - 15 + rng.normal(0, 5), low)
    return voxels.Grid((matrix, matrix, slices), (pixel, pixel, step), origin)


def _add_findings_of_age(drawing, rng):
    """What healthy lungs show too: a dense layer where the patient lies, small scars, and bubbles of emphysema."""
    if rng.random() < 0.3:
        layer = np.clip(1 - (1 - drawing.wall) / rng.uniform(0.05, 0.13), 0, 1) * (drawing.patient[1] < -20)
        np.add(drawing.hu, drawing.lungs * layer * rng.uniform(80, 250), out=drawing.hu)
    scars = [(30, rng.uniform(3, 6)) for _ in range(rng.poisson(1.2))]
    bubbles = [(-970, rng.uniform(5, 16)) for _ in range(rng.integers(3, 15))] if rng.random() < 0.2 else []
    for value, radius in scars + bubbles:
        part, box = _blob(drawing, rng, radius)
        drawing.hu[box] += 0.8 * part * (value - drawing.hu[box])


def _add_opacities(drawing, rng):
    """Ground glass: hazy, ragged, mostly at the back, below and near the chest wall; returns where, as a mask."""
    faint = rng.random() < 0.1
    count = rng.integers(1, 4) if faint else 3 + rng.poisson(rng.uniform(1, 13))
    largest = 20 if faint else rng.uniform(22, 45)
    density = rng.uniform(130, 250) if faint else rng.uniform(240, 640)
    cells = tuple(max(3, round(n * s / 11)) for n, s in zip(drawing.grid.shape, drawing.grid.spacing, strict=True))
    ragged = voxels.smooth_noise(rng, drawing.grid.shape, cells)
    haze = np.zeros(drawing.hu.shape, np.float32)
    for _ in range(count):
        part, box = _blob(drawing, rng, rng.uniform(12, largest), wish=2.5, ragged=ragged)
        np.maximum(haze[box], part * rng.uniform(0.75, 1.15), out=haze[box])
    added = np.minimum(haze * density * (1 + 0.25 * ragged), np.maximum(40 - drawing.hu, 0))
    np.add(drawing.hu, np.maximum(added, 0), out=drawing.hu)
    return (haze > 0.4) & (drawing.lungs > 0.5)


def _blob(drawing, rng, radius, wish=0.0, ragged=None):
    """An ellipsoid in the lungs, 0 to 1, and its box; with `wish` it seeks the back, the bases and the chest wall."""
    tries = rng.choice(np.flatnonzero(drawing.lungs > 0.9), 12)
    _, y, z = (line.ravel()[tries] for line in drawing.patient)
    liked = wish * (drawing.wall.ravel()[tries] - 0.004 * y - 0.003 * z) + rng.gumbel(size=12)
    at = np.unravel_index(tries[np.argmax(liked)], drawing.hu.shape)
    radii = radius * rng.uniform(0.7, 1.4, 3)
    centre = np.array(drawing.grid.origin) + np.array(at) * drawing.grid.spacing
    box = drawing.grid.box(centre - 1.6 * radii.max(), centre + 1.6 * radii.max())
    away = sum(((line[box] - line[at]) / r) ** 2 for line, r in zip(drawing.patient, radii, strict=True))
    depth = 1 - np.sqrt(away) + (0.0 if ragged is None else 0.3 * ragged[box])
    return np.clip(2.0 * depth + 0.25, 0, 1) * drawing.lungs[box], box


def _scan(hu, grid, rng):
    """What the scanner adds: noise with a grain, an offset, and on some machines a padded circle around the table."""
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    grain = (noise + 0.6 * np.roll(noise, 1, 0) + 0.6 * np.roll(noise, 1, 1)) / 1.31
    hu = hu + grain * rng.uniform(12, 42) + rng.normal(0, 9)
    hu = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    if rng.random() < 0.3:
        x, y, _ = grid.axes
        reach = grid.spacing[0] * grid.shape[0] / 2
        centre = (grid.axes[0].mean(), grid.axes[1].mean())
        hu[np.broadcast_to((x - centre[0]) ** 2 + (y - centre[1]) ** 2 > reach**2, hu.shape)] = -2048
    return hu


def make_ct(folder: str | Path, settings: CTSettings, progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Write a twin of the MosMedData subset: `CT-0/`, `CT-23/` with int16 .nii.gz scans, `masks/` with their lesions.

    Args:
        folder: Where the three folders shall be; it must not exist yet.
        settings: How many scans, how fine, which seed.
        progress: Wraps the iteration over the finished scans, to show how far it is.

    Returns:
        The folder. Its ORIGIN.json says that these are phantoms, how they were made, and which file is which.

    Raises:
        DataError: If the folder exists: phantoms are made once, whole, and never mixed.
        OSError: If it cannot be written; nothing is left behind.

    Example:
        >>> import tempfile
        >>> folder = make_ct(tempfile.mkdtemp() + "/mosmed", CTSettings(healthy=1, ill=1, matrix=48))
        >>> sorted(path.relative_to(folder).as_posix() for path in folder.glob("CT*/*"))
        ['CT-0/study_0000.nii.gz', 'CT-23/study_0001.nii.gz']

    Seen in notebook 01.
    """
    jobs = [(n, n >= settings.healthy) for n in range(settings.healthy + settings.ill)]
    with made_whole(folder) as part:
        with closing(in_processes(partial(_write_ct, part, settings), jobs)) as written:
            keys = dict(progress(written))
        origin = {
            "origin": "phantom",
            "what": "synthetic chest CT scans; no patient was scanned",
            "licence": "CC0-1.0",
            "settings": asdict(settings),
            "keys": dict(sorted(keys.items())),
        }
        files.write_json(part / "ORIGIN.json", origin)
    return Path(folder)


@contextmanager
def made_whole(folder: str | Path) -> Iterator[Path]:
    """Lend a folder to write to, and give it its name once all is written; after an error nothing is left.

    Args:
        folder: Where the data set shall be; it must not exist yet.

    Raises:
        DataError: If the folder exists: phantoms are made once, whole, and never mixed.

    Used by the phantoms of every notebook.
    """
    folder = Path(folder)
    if folder.exists():
        raise files.DataError(folder, "it is there already", "name another folder")
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        yield part
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)  # half a data set is of no use to anyone
        raise


def _write_ct(folder: Path, settings: CTSettings, job: tuple[int, bool]) -> tuple[str, str]:
    """Write one scan and its mask; returns the scan's content hash and the key that is the same on every machine."""
    number, ill = job
    hu, lesions, grid = draw_ct(number, ill, settings)
    name = f"study_{number:04d}"
    scan = save_nifti(folder / ("CT-23" if ill else "CT-0") / f"{name}.nii.gz", hu, grid)
    save_nifti(folder / "masks" / f"{name}_mask.nii.gz", lesions.astype(np.uint8), grid)
    # The last digit of a density can differ between processors, so the file's own hash does not name a phantom.
    return files.hash_file(scan), files.hash_bytes(repr((VERSION, settings, number)).encode())


def save_nifti(path: Path, values: np.ndarray, grid: voxels.Grid) -> Path:
    """Save a volume [x, y, z] as most converters do: x from right to left (LAS axes), with the affine that says so."""
    affine = np.diag([-grid.spacing[0], grid.spacing[1], grid.spacing[2], 1.0])
    affine[:3, 3] = grid.origin
    affine[0, 3] += grid.spacing[0] * (grid.shape[0] - 1)
    image = nibabel.Nifti1Image(values[::-1], affine)
    image.header.set_xyzt_units("mm")
    packed = gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)  # without a date: same settings, same bytes
    return files.write_atomic(path, lambda file: file.write(packed))
