"""Each depth and kind of image is scaled to 8 bits per channel or refused by name; damage of any kind is a sentence."""

import base64
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from bctlib.base.errors import BctError
from bctlib.data.photos.files import fault, read_image

GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6
CHANNELS = {GREY: 1, COLOUR: 3, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
# A picture of 16 x 16 whose bytes are wrong in the middle, as in the reports: Pillow raises RuntimeError.
DAMAGED_AVIF = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAA"
    "AAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAAAoAAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEA"
    "AGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAQcGl4aQAAAAADCAgIAAAADGF2MUOBAAwA"
    "AAAAE2NvbHJuY2x4AAEADQAGgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAAAqG1kYXQSAAoJGBV//aICGg0IMpABFMeHhmUCCCCe"
    "VQAAAMIRJG0uC5TGF1WVS5epkPHVwWJq8h20881P/E4b4M8H6q1sv/7cWOqwzwxYIn+KjQ1w64YUNsMYKgMKo/fK1uy2ZEGFgX55"
    "gCPRen4kR1iYoaSJplOSsoTfAKrHjA/esrZaEIZgrppRjL48QvWvrXH5vb9v5fyjOOB79oqqo/1tyd/A"
)


def png(numbers: np.ndarray, bits: int, colour: int, size: tuple[int, int] | None = None) -> bytes:
    """A PNG file of unsigned numbers [H,W,channels] of that many bits, written by hand: Pillow writes few of them."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = size or numbers.shape[:2]
    flat = numbers.reshape(len(numbers), -1)
    each = (flat[..., None] >> np.arange(bits)[::-1] & 1).astype(np.uint8).reshape(len(numbers), -1)
    lines = b"".join(b"\0" + np.packbits(line).tobytes() for line in each)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def grey_tiff(content: bytes, bits: int) -> bytes:
    """A TIFF file of 8 x 8 unsigned numbers, written by hand."""
    tags = {256: 8, 257: 8, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: len(content)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = struct.pack("<2sHI", b"II", 42, 8 + len(content))
    return head + content + struct.pack("<H", len(tags)) + entries + bytes(4)


def ramp(bits: int, channels: int = 1) -> np.ndarray:
    """Unsigned numbers [8,8,channels] from black to white."""
    return np.linspace(0, 2**bits - 1, 64 * channels).round().astype(np.int64).reshape(8, 8, channels)


@pytest.mark.parametrize(
    ("bits", "colour"),
    [(1, GREY), (2, GREY), (4, GREY), (8, GREY), (16, GREY), (8, COLOUR), (16, COLOUR), (8, GREY_ALPHA),
     (16, GREY_ALPHA), (8, COLOUR_ALPHA), (16, COLOUR_ALPHA)],
)  # fmt: skip
def test_a_png_of_any_depth_is_scaled_by_its_depth(tmp_path, bits, colour):
    numbers = ramp(bits, CHANNELS[colour])
    (tmp_path / "1.png").write_bytes(png(numbers, bits, colour))
    expected = numbers[..., : 3 if colour in (COLOUR, COLOUR_ALPHA) else 1] * 255 / (2**bits - 1)
    image = read_image(tmp_path / "1.png")
    assert image.dtype == np.uint8 and image.shape == (8, 8, 3)
    assert np.abs(image - expected).max() <= (1 if bits == 16 else 0.5), "Pillow takes the upper byte of 16-bit colours"
    assert image[0, 0, 0] == 0 and len(np.unique(image)) == len(np.unique(expected.astype(int)))


@pytest.mark.parametrize(("kind", "order"), [("TIFF", "<u2"), ("TIFF", ">u2"), ("JPEG2000", "<u2"), ("PPM", "<u2")])
def test_16_bit_grey_of_other_formats_called_png(tmp_path, kind, order):
    if kind == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip("Pillow without JPEG 2000")
    numbers = ramp(16)[..., 0]
    Image.fromarray(numbers.astype(order)).save(tmp_path / "1.png", kind)
    np.testing.assert_allclose(read_image(tmp_path / "1.png")[..., 1], numbers / 257, atol=0.51)


def test_a_tiff_says_its_depth_and_which_end_is_white(tmp_path):
    numbers = ramp(16)[..., 0].astype(np.uint16)
    Image.fromarray(numbers).save(tmp_path / "1.tif", tiffinfo={262: 0})  # white is zero
    np.testing.assert_allclose(read_image(tmp_path / "1.tif")[..., 0], 255 - numbers / 257, atol=0.51)
    twelve = ramp(12)[..., 0]
    pairs = (twelve[:, ::2] << 12 | twelve[:, 1::2]).ravel()
    packed = b"".join(int(pair).to_bytes(3, "big") for pair in pairs)
    (tmp_path / "12.tif").write_bytes(grey_tiff(packed, 12))
    np.testing.assert_allclose(read_image(tmp_path / "12.tif")[..., 0], twelve * 255 / 4095, atol=0.51)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"])
@pytest.mark.filterwarnings("error")
def test_every_mode_of_8_bits_gives_the_same_picture(tmp_path, mode):
    numbers = ramp(8)[..., 0].astype(np.uint8) if mode != "1" else np.eye(8, dtype=np.uint8) * 255
    Image.fromarray(numbers).convert(mode).save(tmp_path / "1.png", "TIFF")
    np.testing.assert_array_equal(read_image(tmp_path / "1.png"), np.repeat(numbers[..., None], 3, 2))


@pytest.mark.filterwarnings("error")
def test_transparent_palettes_and_pixels_have_the_colours_that_are_stored(tmp_path):
    colours = np.array([[200, 10, 30], [0, 0, 255], [255, 255, 255]], np.uint8)
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    picture.putpalette(colours.ravel().tolist())
    for name, transparency in (("one.png", 1), ("some.png", bytes([0, 128, 255]))):
        picture.save(tmp_path / name, transparency=transparency)
        np.testing.assert_array_equal(read_image(tmp_path / name), colours[None])
    Image.new("RGBA", (1, 1), (200, 10, 30, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").tolist() == [[[200, 10, 30]]]


@pytest.mark.parametrize(
    ("numbers", "kind", "said"),
    [
        (np.ones((4, 4), np.float32), "TIFF", "holds signed or floating-point numbers: expected unsigned ones"),
        (np.ones((4, 4), np.float32), "PPM", "holds signed or floating-point numbers: expected unsigned ones"),
        (np.ones((4, 4), np.int32), "TIFF", "holds signed or floating-point numbers: expected unsigned ones"),
    ],
)
def test_numbers_that_do_not_say_what_is_white_are_refused(tmp_path, numbers, kind, said):
    Image.fromarray(numbers).save(tmp_path / "1.png", kind)
    with pytest.raises(BctError, match=f"1.png: {said}"):
        read_image(tmp_path / "1.png")


def test_unsigned_32_bits_are_refused_too(tmp_path):
    (tmp_path / "1.tif").write_bytes(grey_tiff(bytes(64 * 4), 32))
    assert fault(tmp_path / "1.tif") == "holds 32-bit numbers: expected at most 16 bits"


def test_an_image_that_is_too_large_is_not_called_damaged(tmp_path):
    (tmp_path / "1.png").write_bytes(png(np.zeros((1, 1, 3), np.int64), 8, COLOUR, size=(20_000, 20_000)))
    expected = "is too large: 400,000,000 pixels, expected at most 178,956,970"
    assert fault(tmp_path / "1.png", decode=True) == expected
    with pytest.raises(BctError, match=f"1.png: {expected}"):
        read_image(tmp_path / "1.png")


@pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
def test_a_damaged_avif_called_jpg(tmp_path):
    (tmp_path / "1.jpg").write_bytes(DAMAGED_AVIF)
    assert fault(tmp_path / "1.jpg").startswith("is a damaged image: Failed to decode")


def test_a_damaged_dds_called_jpg(tmp_path):
    for size in (8, 2**20):
        head = b"DDS " + struct.pack("<I", 124) + struct.pack("<5I", 0x1007, size, size, 0, 0) + bytes(52)
        (tmp_path / "1.jpg").write_bytes(head + struct.pack("<II", 32, 4) + b"ABCD" + bytes(60))
        with pytest.raises(BctError, match=r"1\.jpg: is "):
            read_image(tmp_path / "1.jpg")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("Failed to decode\n frame 0"), "is a damaged image: Failed to decode frame 0"),
        (struct.error("unpack requires 4 bytes"), "is a damaged image: unpack requires 4 bytes"),
        (IndexError(), "is a damaged image: IndexError"),
        (AttributeError("mode"), "is a damaged image: mode"),
        (ZeroDivisionError("division by zero"), "is a damaged image: division by zero"),
        (NotImplementedError("Unimplemented pixel format 9"), "is an image of a kind that cannot be read: Unimpl"),
        (MemoryError(), "is too large: there is not enough memory to decode it"),
        (RecursionError("maximum depth"), "is a damaged image: maximum depth"),
    ],
)
def test_whatever_a_decoder_raises_names_the_file(tmp_path, monkeypatch, error, said):
    Image.new("RGB", (2, 2)).save(tmp_path / "1.png")

    def load(image):
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(BctError, match=f"1.png: {said}"):
        read_image(tmp_path / "1.png")


def test_an_eps_file_under_the_name_of_an_image_is_not_executed(tmp_path):
    lines = "%!PS-Adobe-3.0 EPSF-3.0", "%%BoundingBox: 0 0 10 10", "%%EndComments", "showpage"
    (tmp_path / "a.jpg").write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(BctError, match="a.jpg: is an EPS file, a program that Ghostscript would execute: expected an"):
        read_image(tmp_path / "a.jpg")
