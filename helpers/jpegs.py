"""What a JPEG, JPEG lossless or JPEG-LS image inside a DICOM file says of itself before it is unpacked.

Used by `dicom_pixels`, and so by every notebook that reads DICOM files.
"""

import struct

TWELVE_BIT = "1.2.840.10008.1.2.4.51"
# What may announce the frame in a JPEG of each kind. JPEG-LS, the last two, begins its files as JPEG does.
FRAMES = {
    "1.2.840.10008.1.2.4.50": (0xC0, 0xC1, 0xC2),
    TWELVE_BIT: (0xC0, 0xC1),
    "1.2.840.10008.1.2.4.57": (0xC3,),
    "1.2.840.10008.1.2.4.70": (0xC3,),
    "1.2.840.10008.1.2.4.80": (0xF7,),
    "1.2.840.10008.1.2.4.81": (0xF7,),
}
PARTS = (*range(0xE0, 0xF0), 0xFE, 0xDB, 0xC4, 0xDD, 0xF8)  # notes, tables, restart interval, JPEG-LS settings


def read_header(frame: bytes, kinds: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Rows, columns, colours and bits that a JPEG, JPEG lossless or JPEG-LS frame announces.

    Asked before decoding, because gdcm ends the whole process, kernel and all, if they are not what DICOM said, or
    if a frame of another kind, more than 16 bits or no code tables are announced.

    Args:
        frame: The bytes of one image.
        kinds: What may announce it, from ``FRAMES``.

    Raises:
        ValueError: If it announces nothing, or what no codec here can read.
        struct.error, IndexError: If it ends too early.

    Example:
        >>> tables, frame = b"\\xff\\xc4\\0\\2", b"\\xff\\xc0\\0\\x0b\\x08\\0\\x10\\0\\x20\\1\\1\\x11\\0"
        >>> read_header(b"\\xff\\xd8" + tables + frame + b"\\xff\\xda", kinds=(0xC0,))
        (16, 32, 1, 8)

    Seen in notebook 03 through `xray.read_radiograph`.
    """
    found, coded, place = None, False, 2
    while frame[place : place + 2] != b"\xff\xda":  # the scan itself begins
        marker = frame[place + 1]
        if frame[place] != 0xFF or marker not in (*PARTS, *kinds):
            raise ValueError
        coded |= marker in (0xC4, 0xF7)  # Huffman tables; JPEG-LS needs none
        if marker in kinds:
            bits, rows, columns, colours = struct.unpack(">BHHB", frame[place + 4 : place + 10])
            if found or bits > 16:
                raise ValueError
            found = (rows, columns, colours, bits)
        place += 2 + int.from_bytes(frame[place + 2 : place + 4])
    if found is None or not coded:
        raise ValueError
    return found
