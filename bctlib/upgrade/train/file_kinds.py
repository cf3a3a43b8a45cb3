"""Recognise by its first bytes what kind of file was given as weights; names and suffixes are not relied on."""

import zipfile
from collections.abc import Callable
from pathlib import Path

_BEGINNING = 1024
_LONGEST_HEADER = 100_000_000  # of a safetensors file, by its own library

_GET_FILE = "download the file itself"
_UNPACK = "unpack it and give the file of weights in it"
_EXPORTED = "give the state dict of the PyTorch network that it was exported from"
_KINDS: tuple[tuple[Callable[[bytes], bool], str, str], ...] = (
    (lambda b: not b, "an empty file", _GET_FILE),
    (lambda b: not b.strip(b"\0"), "a file of zeros, as a broken copy leaves it", _GET_FILE),
    (
        lambda b: b.removeprefix(b"\xef\xbb\xbf").startswith(b"version https://git-lfs"),
        "a pointer of Git LFS, not the file itself",
        "run git lfs pull",
    ),
    (lambda b: b.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"), "a web page or other XML", _GET_FILE),
    (lambda b: b.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")), "a JSON text", "give the file of weights"),
    (lambda b: b[257:262] == b"ustar", "a tar archive", _UNPACK),
    (lambda b: b.startswith(b"\x1f\x8b"), "a gzip archive", _UNPACK),
    (lambda b: b.startswith(b"BZh"), "a bzip2 archive", _UNPACK),
    (lambda b: b.startswith(b"\xfd7zXZ\0"), "an xz archive", _UNPACK),
    (lambda b: b.startswith(b"\x28\xb5\x2f\xfd"), "a zstd archive", _UNPACK),
    (lambda b: b.startswith(b"7z\xbc\xaf\x27\x1c"), "a 7z archive", _UNPACK),
    (lambda b: b.startswith(b"Rar!"), "a rar archive", _UNPACK),
    (lambda b: b.startswith(b"\x93NUMPY"), "an array of NumPy", "give the state dict of a network"),
    (lambda b: b.startswith(b"\x89HDF\r\n"), "an HDF5 file, as Keras writes them", "give weights that PyTorch saved"),
    (lambda b: b.startswith(b"GGUF"), "a GGUF file", "give weights that PyTorch saved"),
    (lambda b: b[4:8] == b"TFL3", "a TensorFlow Lite model", "give weights that PyTorch saved"),
    (lambda b: b[:1] == b"\x08" and (b"onnx" in b or b"\x12\x07pytorch" in b), "an ONNX model", _EXPORTED),
    (lambda b: b.startswith((b"\xff\xfe", b"\xfe\xff")), "a text in UTF-16", _GET_FILE),
    (lambda b: b.startswith(b"%PDF"), "a PDF", _GET_FILE),
    (lambda b: b.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8")), "an image", "give the file of weights"),
)


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as the safetensors format does. Raises OSError when it cannot be read."""
    beginning = _beginning(path)
    return beginning[8:9] == b"{" and int.from_bytes(beginning[:8], "little") <= _LONGEST_HEADER


def other_kind(path: Path) -> str | None:
    """What the file is and what to do, for the sentence `PATH is ...`; None where it may well be weights.

    Raises OSError when it cannot be read.
    """
    beginning = _beginning(path)
    if is_safetensors(path):
        return None
    if beginning.startswith(b"PK\x03\x04"):
        return _other_archive(path)
    for fits, what, instead in _KINDS:
        if fits(beginning):
            return f"{what}: {instead}"
    return None


def may_be_pickled(path: Path) -> bool:
    """Whether the file begins as a pickle does, of protocol 2 or later, or as the archive that PyTorch puts one in."""
    return _beginning(path).startswith((b"\x80", b"PK\x03\x04"))


def text_at_beginning(path: Path) -> str | None:
    """The first 40 characters of a file that begins with readable text, else None."""
    try:
        text = _beginning(path)[:160].decode("utf-8-sig", "strict")[:40]
    except UnicodeDecodeError:
        return None
    return text if text and "".join(text.split()).isprintable() else None


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_BEGINNING)


def _other_archive(path: Path) -> str | None:
    """PyTorch's own files are zip archives too: a saved object has data.pkl, a TorchScript program constants.pkl."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None  # damaged: PyTorch's reader finds that
    plain = {name.rsplit("/", 1)[-1] for name in names}
    if "constants.pkl" in plain:
        save = "torch.save(torch.jit.load(FILE).state_dict(), ...)"
        return f"a TorchScript program, whose code is not executed: save its weights alone, with {save}"
    if "data.pkl" in plain:
        return None
    if "archive_format" in plain or "serialized_exported_program.json" in plain:
        return f"a program of torch.export: {_EXPORTED}"
    return f"a zip archive of {', '.join(names[:3]) or 'nothing'}{', ...' if len(names) > 3 else ''}: {_UNPACK}"
