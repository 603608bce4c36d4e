"""The example that renders into one shared picture from all workers."""

import struct
import zlib
from pathlib import Path

from .script import run

EXAMPLE = Path(__file__).parents[2] / "examples" / "mandelbrot.py"


def test_the_picture_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    assert run(str(EXAMPLE), str(path), "60", "40").stdout == f"{path}: 60 x 40\n"
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (60, 40)
    start = data.index(b"IDAT") + 4
    length = struct.unpack(">I", data[start - 8 : start - 4])[0]
    rows = zlib.decompress(data[start : start + length])
    assert len(rows) == 40 * (1 + 3 * 60)
    picture = [rows[i * 181 + 1 : (i + 1) * 181] for i in range(40)]
    assert all(any(row) for row in picture), "every row was written"
    inside = picture[20][3 * 40 : 3 * 45]  # between -0.25 and 0 on the real axis
    assert inside == bytes(15)
    # The set is symmetric to the real axis, on which row 20 lies.
    assert picture[10] == picture[30]
