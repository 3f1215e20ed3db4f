"""NIfTI files from anywhere: unpacked no further than their header promises, refused in one sentence if unusable.

Used by `ct`, and through it by notebooks 01 and 02.
"""

import math
import os
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
from nibabel import Nifti1Header, Nifti2Header, aff2axcodes
from nibabel.spatialimages import HeaderDataError

from helpers.files import DataError

CHUNK = 1 << 16  # bytes; small enough to stay in the processor's cache while it is unpacked
LARGEST = 4 << 30  # bytes of voxels; a whole-body CT of 2000 slices has 1 GiB
DEFLATE_RATIO = 1032  # no deflate stream expands further, so a bolder promise cannot be kept
NUMBERS = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
COLOURS = {128: "RGB", 2304: "RGBA"}
SPACING = (0.01, 100.0)  # mm a voxel; what lies outside is metres, micrometres or damage
AGAIN = "copy or download it again"


def read(path: str | os.PathLike) -> tuple[np.ndarray, float, float, np.ndarray]:
    """Read one NIfTI-1 or NIfTI-2 file, packed or not, whatever its name says.

    The gzip stream is unpacked into memory in one pass, its checksum is verified, and no more is unpacked than
    the header promises: a file of a few kilobytes cannot fill the memory.

    Args:
        path: A .nii or .nii.gz file.

    Returns:
        The stored voxels [i, j, k] in the file's own order and type, the slope and the intercept that turn them
        into values, and the affine, float64 [4, 4], from voxel to millimetres (right, front, head).

    Raises:
        DataError: If the file is missing, cut short, damaged, not NIfTI, a header without image, coloured, 4-D,
            or if its header tells no orientation, two that contradict each other, or an impossible spacing.

    Example:
        >>> read("scan.mha")
        Traceback (most recent call last):
            ...
        helpers.files.DataError: scan.mha: there is no such file or folder; check the name.

    Seen in notebook 01 through `ct.read_volume`.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            return _read(path, file)
    except FileNotFoundError:
        raise DataError(path, "there is no such file or folder", "check the name") from None
    except OSError as error:
        raise DataError(path, f"it cannot be read ({error.strerror})", "check the disk and the permissions") from None
    except EOFError:
        raise DataError(path, "it is cut short", AGAIN) from None
    except zlib.error:
        raise DataError(path, "its gzip data are damaged", AGAIN) from None


def _read(path: Path, file: IO[bytes]) -> tuple[np.ndarray, float, float, np.ndarray]:
    size = os.fstat(file.fileno()).st_size
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    pieces = _unpack(file) if packed else iter(lambda: file.read(CHUNK), b"")
    head = b""
    while len(head) < Nifti2Header.sizeof_hdr and (piece := next(pieces, b"")):
        head += piece
    header = _header(path, head)
    shape, dtype, offset = _layout(path, header)
    affine = _affine(path, header)
    try:
        slope, intercept = header.get_slope_inter()
    except HeaderDataError:
        raise DataError(
            path, "its header gives a slope without an intercept", "save it again from its source"
        ) from None

    promised = offset + math.prod(shape) * dtype.itemsize
    if promised > LARGEST:
        fault = f"its header promises {promised / 2**30:.1f} GiB, more than any CT scan has"
        raise DataError(path, fault, f"{AGAIN}, or cut it into smaller scans")
    if promised > size * (DEFLATE_RATIO if packed else 1):
        raise EOFError
    buffer, filled = np.empty(promised, np.uint8), 0
    for piece in chain([head], pieces):
        if filled + len(piece) > promised:
            raise DataError(path, "it holds more than its header promises", "save it again from its source")
        buffer[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    if filled < promised:
        raise EOFError
    stored = buffer[offset:].view(dtype).reshape(shape, order="F")
    return stored, slope or 1.0, intercept or 0.0, affine


def _unpack(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a gzip file of one or several members, in pieces of bounded size."""
    member = zlib.decompressobj(31)
    while chunk := file.read(CHUNK):
        while chunk:
            if member.eof:
                chunk = chunk.lstrip(b"\0")  # tapes and some archivers pad the end with zeros
                member = zlib.decompressobj(31) if chunk else member
                continue
            if piece := member.decompress(chunk, 16 * CHUNK):
                yield piece
            chunk = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise EOFError


def _header(path: Path, head: bytes) -> Nifti1Header:
    if not head:
        raise DataError(path, "it is empty", AGAIN)
    if head.startswith(b"version https://git-lfs"):
        raise DataError(path, "it is a Git-LFS pointer, not the image itself", "fetch the image with `git lfs pull`")
    if head[128:132] == b"DICM":
        raise DataError(path, "it is a single DICOM file", "name the folder that holds the whole series")
    for kind in (Nifti1Header, Nifti2Header):
        for byte_order, sign in (("little", "<"), ("big", ">")):
            if len(head) >= kind.sizeof_hdr == int.from_bytes(head[:4], byte_order):
                header = kind(head[: kind.sizeof_hdr], endianness=sign, check=False)
                if header["magic"].item().startswith(b"n+"):
                    return header
                if header["magic"].item().startswith(b"ni") or path.suffix.lower() == ".hdr":
                    raise DataError(path, "it is a header without its image", "save header and image as one .nii.gz")
    if path.suffix.lower() == ".img":
        raise DataError(path, "it is an image without its header", "save header and image as one .nii.gz")
    raise DataError(path, "it is not a NIfTI file", "give a .nii or .nii.gz file, or the folder of a DICOM series")


def _layout(path: Path, header: Nifti1Header) -> tuple[tuple[int, ...], np.dtype, int]:
    code = int(header["datatype"])
    if code in COLOURS:
        raise DataError(path, f"its voxels are {COLOURS[code]} colours, not Hounsfield units", "export the scan itself")
    dims = [int(dim) for dim in header["dim"]]
    shape, offset = dims[1 : dims[0] + 1], float(header["vox_offset"])
    whole = 1 <= dims[0] <= 7 and min(shape) >= 1 and header.sizeof_hdr <= offset <= LARGEST and offset % 1 == 0
    if not whole or code not in NUMBERS:
        raise DataError(path, "its header is damaged or of a kind no CT has", "save it again from its source")
    if len(shape) < 3:
        raise DataError(path, "it is a single image, not a volume", "give the whole scan")
    if (volumes := math.prod(shape[3:])) > 1:
        raise DataError(path, f"it is 4-D and holds {volumes} volumes", "save one of them as a file of its own")
    return tuple(shape[:3]), np.dtype(header.endianness + NUMBERS[code]), int(offset)


def _affine(path: Path, header: Nifti1Header) -> np.ndarray:
    spacing = np.array(header["pixdim"][1:4], float)
    if not np.all((spacing >= SPACING[0]) & (spacing <= SPACING[1])):
        numbers = " x ".join(f"{number:g}" for number in spacing)
        raise DataError(path, f"its spacing is {numbers} mm", "write the true spacing into its header")
    sform, qform = header.get_sform(coded=True)[0], _qform(header)
    affine = qform if sform is None else sform
    if affine is None:
        fault = "its header has no orientation (qform and sform are 0), so left and right cannot be told"
        raise DataError(path, fault, "convert it again from DICOM")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not np.allclose(lengths, spacing, rtol=0.01):
        raise DataError(path, "its affine and its spacing contradict each other", "convert it again from DICOM")
    cosines = affine[:3, :3] / lengths
    if np.abs(cosines.T @ cosines - np.eye(3)).max() > math.sin(math.radians(1)):
        fault = "its axes are not at right angles (gantry tilt or a registration)"
        raise DataError(path, fault, "resample it to an upright grid first")
    if sform is not None and qform is not None and aff2axcodes(sform) != aff2axcodes(qform):
        fault = f"its sform says {_axes(sform)} and its qform {_axes(qform)}, so left and right cannot be told"
        raise DataError(path, fault, "convert it again from DICOM")
    return affine


def _qform(header: Nifti1Header) -> np.ndarray | None:
    """The affine of the qform, or None if there is none or its quaternion is no rotation."""
    if header["pixdim"][0] == 0:  # the standard reads 0 as +1
        header["pixdim"][0] = 1
    try:
        return header.get_qform(coded=True)[0]
    except (HeaderDataError, ValueError):
        return None


def _axes(affine: np.ndarray) -> str:
    return "".join(aff2axcodes(affine))
