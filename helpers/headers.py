"""What the headers of many DICOM radiographs say, as one table that names no patient.

Used by notebook 03 through `siim`.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from helpers import dicom_pixels, files, runtime, xray
from helpers.files import DataError

if TYPE_CHECKING:
    import pandas as pd

# All that is read of a file; its pixels are not. The id is hashed where it is read, and goes no further.
WANTED = [
    *("SOPInstanceUID", "PatientID", "PatientAge", "PatientSex", "ViewPosition"),
    *("Rows", "Columns", "PixelSpacing", "ImagerPixelSpacing"),
]
DAMAGED = ("its DICOM header is cut short or damaged", "copy or export it again")
COLUMNS = ("image", "patient", "group", "age", "sex", "view", "rows", "columns", "spacing")


class _Header(NamedTuple):
    image: str
    patient: str  # a hash
    facts: xray.Facts
    rows: int
    columns: int


def read_headers(paths: Iterable[str | os.PathLike]) -> "tuple[pd.DataFrame, list[DataError]]":
    """Read the headers of DICOM images without their pixels.

    Args:
        paths: The files.

    Returns:
        A table with a line for each file that can be read, in the order of the paths, and a sentence for each other
        one. Its columns: ``image`` (the SOPInstanceUID), ``patient`` (such as "patient 0007"), ``group`` (a number,
        the same for all images of a patient), ``age`` in years, ``sex`` ("F", "M" or None), ``view``, ``rows``,
        ``columns``, and ``spacing`` of rows and columns in mm or None. The numbers of patients depend on neither the
        order nor the names of files; an image that does not tell its patient is a patient of its own.

    Example:
        >>> import tempfile
        >>> from pydicom.dataset import Dataset, FileMetaDataset
        >>> header = Dataset()
        >>> header.file_meta = FileMetaDataset()
        >>> header.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        >>> header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
        >>> header.PatientName, header.PatientID, header.PatientAge = "Muster^Erika", "0815", "058Y"
        >>> header.Rows, header.Columns = 1024, 1024
        >>> path = tempfile.mkdtemp() + "/chest.dcm"
        >>> header.save_as(path, enforce_file_format=True)
        >>> table, refused = read_headers([path])
        >>> table[["patient", "age", "rows"]].to_dict("records"), refused
        ([{'patient': 'patient 0001', 'age': 58.0, 'rows': 1024}], [])

    Taught in notebook 03.
    """
    import pandas as pd  # here, because it takes half a second that other readers need not spend

    paths = [Path(path) for path in paths]
    done = list(runtime.progress(map(_read_header, paths), len(paths), "reading headers"))
    read = [header for header in done if isinstance(header, _Header)]
    numbers = {patient: number for number, patient in enumerate(sorted({header.patient for header in read}), 1)}
    lines = []
    for header in read:
        number, facts = numbers[header.patient], header.facts
        who = (header.image, f"patient {number:04d}", number, facts.age, facts.sex, facts.view)
        lines.append((*who, header.rows, header.columns, facts.spacing))
    table = pd.DataFrame(lines, columns=list(COLUMNS)).astype({"age": float, "sex": object, "spacing": object})
    table["sex"] = table["sex"].where(table["sex"].notna(), None)
    return table, [fault for fault in done if isinstance(fault, DataError)]


def _read_header(path: Path) -> _Header | DataError:
    """Read one header; a fault is handed back, so that the other files go on."""
    import pydicom

    try:
        if not dicom_pixels.find_start(path):
            return DataError(path, "it is no DICOM file", "copy it again, or take it away")
        with dicom_pixels.quiet():
            header = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=WANTED)
            rows, columns = header.get("Rows"), header.get("Columns")
            if not rows or not columns:
                return DataError(path, "it is cut short or holds no image", "copy it again, or take it away")
            if rows * columns > dicom_pixels.LARGEST:
                return DataError(path, f"it promises {rows} x {columns} pixels", "export it again, or take it away")
            image, name = (str(header.get(field) or "").strip() for field in ("SOPInstanceUID", "PatientID"))
            known = f"patient {name}" if name else f"image {image or files.hash_file(path)}"
            return _Header(image, files.hash_bytes(known.encode()), xray.read_facts(header), int(rows), int(columns))
    except DataError as fault:
        return fault
    except Exception:  # a damaged header makes pydicom raise nearly anything, in words that may quote the patient
        return DataError(path, *DAMAGED)
