"""Synthetic twins of the SIIM-ACR pneumothorax set: DICOM radiographs in folders, and a table of run-length masks.

Used by notebook 03, where it finds no data. A twin is drawn from (seed, number) alone: same settings, same files.
"""

import io
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from helpers import anatomy, exposures, files, films, findings, masks, phantoms
from helpers.parallel import in_processes

VERSION = 2  # of the drawing: a change that moves pixels raises it, so that stored phantoms are made anew
BLOCK, ILL = 9, 2  # of so many images in a row, so many show a pneumothorax: 22 %, as in the published table
FAMILIES = ("Almqvist", "Brandvold", "Castellar", "Dunmore", "Eskelund", "Fairholm", "Galvani", "Hartnell")
GIVEN = {"F": ("Ada", "Berit", "Clara", "Doris", "Edith"), "M": ("Arne", "Bruno", "Carl", "Dario", "Emil")}


@dataclass(frozen=True)
class SIIMSettings:
    """How many chest radiographs to draw, and how finely.

    Args:
        count: Images in all; 22 % of them show a pneumothorax.
        pixels: Rows and columns of each; the published ones have 1024.
        seed: Another seed, other patients.
    """

    count: int = 240
    pixels: int = 256
    seed: int = 2020


def draw_siim(number: int, settings: SIIMSettings) -> tuple[np.ndarray, np.ndarray, dict[str, object]]:
    """Draw one radiograph as a file stores it, and where the air is.

    Args:
        number: Which image. Every 16th is a second one of the patient before.
        settings: Size and seed.

    Returns:
        Stored pixels [rows, columns], uint8, or uint16 with 12 bits; the mask, bool [rows, columns]; and what is known:
        "patient" (number), "sex", "age", "view" ("PA" or "AP"), "spacing" in mm, "photometric" and "syntax" as DICOM
        calls them, "drain", and of the ill "side", "pattern" and "depth" in mm, which are None in the healthy.

    Example:
        >>> pixels, mask, facts = draw_siim(3, SIIMSettings(pixels=64))
        >>> pixels.shape, mask.dtype, facts["side"] is not None, bool(mask.any())
        ((64, 64), dtype('bool'), False, False)

    Seen in notebook 03.
    """
    patient = number - (number % 16 == 15)
    own, rng = (np.random.default_rng([settings.seed, *key]) for key in ((patient,), (number, 1)))
    film, _ = films.draw_film(anatomy.sample_thorax(own), settings.pixels, None, rng)
    collapse = findings.random_collapse(rng) if _is_ill(number, settings.seed) else None
    mask = np.zeros(film.lungs.shape, bool)
    if collapse:
        film, mask = findings.pneumothorax(film, collapse, rng)
    film = findings.add_mimics(film, rng)
    drain = rng.random() < (0.3 if collapse else 0.03)
    if drain:
        film = findings.add_drain(film, collapse.side if collapse else str(rng.choice(list(films.SIDES))), rng)

    look = exposures.random_look(rng)
    if exposures.place(mask, look).sum() < 0.8 * mask.sum():  # a technician would have seen that the apex is cut off
        look = replace(look, zoom=1.0, shift=(0.0, 0.0), margins=(0.0,) * 4)
    image = exposures.expose(film, look, rng)
    syntax = str(rng.choice(["jpeg", "raw", "12 bit"], p=[0.75, 0.15, 0.1]))
    inverted = rng.random() < 0.1
    top = 4095 if syntax == "12 bit" else 255
    stored = np.rint((1 - image if inverted else image) * top).astype(np.uint16 if top > 255 else np.uint8)
    facts = {
        "patient": patient,
        "sex": "F" if "left breast" in film.landmarks or own.random() < 0.1 else "M",
        "age": int(np.clip(own.normal(48, 17), 16, 92)),
        "view": "AP" if look.note not in ("", "PA") or (look.note == "" and rng.random() < 0.3) else "PA",
        "spacing": round(film.spacing[0] / look.zoom, 4),
        "photometric": "MONOCHROME1" if inverted else "MONOCHROME2",
        "syntax": syntax,
        "drain": bool(drain),
    }
    facts |= asdict(collapse) if collapse else dict.fromkeys(("side", "pattern", "depth"))
    return stored, exposures.place(mask, look), facts


def make_siim(folder: str | Path, settings: SIIMSettings, progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Write radiographs as `dicom-images-train/<study>/<series>/<image>.dcm` and their masks as `train-rle.csv`.

    The table is as untidy as the published one: a space before the second header and before most texts, several rows
    for some images, which may overlap, some images without a row, and a row without an image.

    Args:
        folder: Where they shall be; it must not exist yet.
        settings: How many images, how fine, which seed.
        progress: Wraps the iteration over the finished images, to show how far it is.

    Returns:
        The folder. Its ORIGIN.json says that these are phantoms, how they were made, and which file is which.

    Raises:
        DataError: If the folder exists: phantoms are made once, whole, and never mixed.
        OSError: If it cannot be written; nothing is left behind.

    Example:
        >>> import tempfile
        >>> folder = make_siim(tempfile.mkdtemp() + "/siim", SIIMSettings(count=2, pixels=64))
        >>> len(list(folder.glob("dicom-images-train/*/*/*.dcm"))), (folder / "train-rle.csv").read_text()[:22]
        (2, 'ImageId, EncodedPixels')

    Seen in notebook 03.
    """
    with phantoms.made_whole(folder) as part:
        with closing(in_processes(partial(_write, part, settings), range(settings.count))) as written:
            done = list(progress(written))
        rows = [row for _, _, texts in done for row in texts]
        rows.append(f"{_uid(settings, 'image', settings.count)}, -1")  # of an image that is not there
        table = "\n".join(["ImageId, EncodedPixels", *rows, ""]).encode()
        files.write_atomic(part / "train-rle.csv", lambda file: file.write(table))
        origin = {
            "origin": "phantom",
            "what": "synthetic chest radiographs; no patient was examined",
            "licence": "CC0-1.0",
            "settings": asdict(settings),
            "keys": dict(sorted((content, key) for content, key, _ in done)),
        }
        files.write_json(part / "ORIGIN.json", origin)
    return Path(folder)


def _is_ill(number, seed):
    """Whether an image shows a pneumothorax: as many in every block of images."""
    block, place = divmod(number, BLOCK)
    return place in np.random.default_rng([seed, block, 2]).permutation(BLOCK)[:ILL]


def _write(folder: Path, settings: SIIMSettings, number: int) -> tuple[str, str, list[str]]:
    """Write one image; returns its content hash, the key that is the same on every machine, and its rows."""
    pixels, mask, facts = draw_siim(number, settings)
    rng = np.random.default_rng([settings.seed, number, 3])
    image = _dicom(pixels, facts, number, settings, rng)
    buffer = io.BytesIO()
    image.save_as(buffer, enforce_file_format=True)
    path = Path("dicom-images-train", image.StudyInstanceUID, image.SeriesInstanceUID, f"{image.SOPInstanceUID}.dcm")
    files.write_atomic(folder / path, lambda file: file.write(buffer.getvalue()))
    texts = [] if number % 40 == 13 else _texts(mask, rng)
    rows = [f"{image.SOPInstanceUID},{' ' if rng.random() < 0.8 else ''}{text}" for text in texts]
    return files.hash_file(folder / path), files.hash_bytes(repr((VERSION, settings, number)).encode()), rows


def _texts(mask, rng):
    """The runs of a mask, at times in several rows that may overlap; their union is the mask."""
    parts = [mask]
    if mask.any() and rng.random() < 0.25:
        rows = np.flatnonzero(mask.any(1))
        cut, overlap = int(np.quantile(rows, rng.uniform(0.3, 0.7))), int(rng.integers(0, 2) * (1 + len(rows) // 8))
        parts = [mask.copy(), mask.copy()]
        parts[0][cut + overlap :] = False
        parts[1][:cut] = False
    return [masks.encode_rle(part) for part in parts if part.any() or not mask.any()]


def _dicom(pixels, facts, number, settings, rng):
    """A radiograph with the header that a hospital would give it; names, dates and numbers are made up."""
    own = np.random.default_rng([settings.seed, facts["patient"], 4])
    image, meta = Dataset(), FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID = _uid(settings, "image", number)
    meta.ImplementationClassUID, meta.ImplementationVersionName = _uid(settings, "maker", 0), "COURSE PHANTOMS"
    meta.TransferSyntaxUID = JPEGBaseline8Bit if facts["syntax"] == "jpeg" else ExplicitVRLittleEndian
    image.file_meta = meta
    image.SpecificCharacterSet = "ISO_IR 100"
    image.StudyDate, image.StudyTime, image.Modality, image.ConversionType = "19010101", "000000.00", "CR", "WSD"
    image.SeriesDescription = f"view: {facts['view']}"
    image.PatientName = f"{own.choice(FAMILIES)}^{own.choice(GIVEN[facts['sex']])}"
    image.PatientID = f"P{own.integers(10**7):07d}-{facts['patient']}"
    image.PatientBirthDate, image.PatientSex = "", facts["sex"]
    # The published files hold a plain number, which the standard does not allow.
    age = f"{facts['age']:03d}Y" if own.random() < 0.5 else str(facts["age"])
    image.add(DataElement(Tag("PatientAge"), "AS", age, validation_mode=pydicom.config.IGNORE))
    image.BodyPartExamined, image.ViewPosition = "CHEST", facts["view"]
    image.StudyInstanceUID, image.SeriesInstanceUID = (_uid(settings, kind, number) for kind in ("study", "series"))
    image.SeriesNumber, image.InstanceNumber = 1, 1
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, facts["photometric"]
    image.Rows, image.Columns = pixels.shape
    image.PixelSpacing = [facts["spacing"]] * 2
    bits = 12 if facts["syntax"] == "12 bit" else 8
    image.BitsAllocated, image.BitsStored, image.HighBit = 8 * pixels.itemsize, bits, bits - 1
    image.PixelRepresentation = 0
    if facts["syntax"] == "jpeg":
        packed = io.BytesIO()
        Image.fromarray(pixels).save(packed, "JPEG", quality=92)
        image.LossyImageCompression, image.LossyImageCompressionMethod = "01", "ISO_10918_1"
        image.PixelData = encapsulate([packed.getvalue()])
        image["PixelData"].VR = "OB"
    else:
        image.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        image["PixelData"].VR = "OW" if bits > 8 else "OB"
    return image


def _uid(settings, kind, number):
    return generate_uid(entropy_srcs=[kind, str(settings.pixels), str(settings.seed), str(number)])
