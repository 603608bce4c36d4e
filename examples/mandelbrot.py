"""Render the Mandelbrot set row by row, from all workers, into one picture that they share.

    python examples/mandelbrot.py [file.png [width [height]]]

The picture is a SharedBuffer: each task gets a handle on its row and writes the pixels there, so
that nothing but numbers travels. A PNG is written with the standard library alone.
"""

import struct
import sys
import zlib

from interp_executor import InterpreterPoolExecutor, SharedBuffer

ITERATIONS = 100


def escape_time(c: complex) -> int:
    """Return after how many steps the orbit of c leaves the circle of radius 2."""
    z = 0j
    for step in range(ITERATIONS):
        if z.real * z.real + z.imag * z.imag > 4:
            return step
        z = z * z + c
    return ITERATIONS


def colour(steps: int) -> tuple[int, int, int]:
    """Return red, green and blue for an escape time; what never escapes is black."""
    if steps == ITERATIONS:
        return 0, 0, 0
    return (steps * 9) % 256, (steps * 5) % 256, (64 + steps * 11) % 256


def render_row(row: SharedBuffer, number: int, width: int, height: int) -> None:
    """Write the pixels of one row into its part of the picture."""
    pixels = memoryview(row)
    imaginary = 1.25 - 2.5 * number / height
    for x in range(width):
        c = complex(-2.25 + 3.0 * x / width, imaginary)
        pixels[3 * x : 3 * x + 3] = bytes(colour(escape_time(c)))


def render(width: int, height: int) -> SharedBuffer:
    """Render the picture: three bytes a pixel, row after row."""
    picture = SharedBuffer(3 * width * height)
    rows = picture.split(height, itemsize=3 * width)
    with InterpreterPoolExecutor() as executor:
        for _ in executor.map(render_row, rows, range(height), [width] * height, [height] * height):
            pass
    return picture


def save_png(path: str, pixels: SharedBuffer, width: int, height: int) -> None:
    """Write the pixels as a PNG file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = pixels.split(height, itemsize=3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(memoryview(row)) for row in rows))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else "mandelbrot.png"
    width = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    height = int(sys.argv[3]) if len(sys.argv) > 3 else width * 5 // 6
    save_png(path, render(width, height), width, height)
    print(f"{path}: {width} x {height}")


if __name__ == "__main__":
    main()
