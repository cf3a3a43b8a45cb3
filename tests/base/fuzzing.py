"""Inputs that no parser was made for: valid files with damage, values of the wrong kind and size, noise."""

import copy
import json
import re
import struct
from typing import Any

from hypothesis import strategies as st

TOKENS = (
    b"", b"\0", b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b" ", b",", b'"', b"'", b"\\", b"#", b"-", b"--", b"=", b"../..",
    b"/", b"-1", b"--1", b"+1", b"1_0", b"0x10", b"1.5", b"1e999", b"-1e999", b"nan", b"inf", b"None", b"null", b"true",
    b"2147483647", b"2147483648", b"4294967296", b"9223372036854775808", b"9" * 30, b"9" * 5000, b"A" * 200_000,
    b"[", b"{", b"[]", b"{}", b"[" * 3000, b'{"a":' * 3000, b"(" * 300, b"\xff", b"\xff\xfe", b"\xc3\x28",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", "²".encode(), "٣".encode(), "\u2028".encode(), "\x85".encode(), "日本".encode(),
    "\U0001f600".encode(), b"\x93NUMPY", b"\x80\x04\x95", b"0900", b"007", b"-0", "１２".encode(), b"_c015", b"_c1000",
    b"\n\xef\xbb\xbf", b"\r\r\n", b"\x0b", b"\x0c", b"\x1c", "\u2029".encode(), "\u00a0".encode(), "é".encode(),
    "e\u0301".encode(), "\ufa19".encode(), b"caf\xe9", b"._",
)  # fmt: skip
_KINDS = ("flip", "insert", "delete", "repeat", "cut", "replace", "line")
_WORD = re.compile(rb"[^\s,:\"\[\]{}=]+")


def _edited(content: bytes, edit: tuple[str, int, int, bytes]) -> bytes:
    """One change. place: in 65536ths of the length; size: of what is touched."""
    kind, place, size, token = edit
    at = place * len(content) >> 16
    if kind == "flip" and content:
        return content[:at] + bytes([content[at] ^ (1 << size % 8)]) + content[at + 1 :]
    if kind == "insert":
        return content[:at] + token + content[at:]
    if kind == "delete":
        return content[:at] + content[at + size :]
    if kind == "repeat":
        return content[:at] + content[at : at + size] * 3 + content[at + size :]
    if kind == "cut":
        return content[:at]
    if kind == "replace" and (word := _WORD.search(content, at)):
        return content[: word.start()] + token + content[word.end() :]
    if kind == "line":
        lines = content.split(b"\n")
        line = place * len(lines) >> 16
        return b"\n".join([*lines[:line], *([lines[line]] * (size % 3)), *lines[line + 1 :]])
    return content


def _recoded(text: str) -> st.SearchStrategy[bytes]:
    encodings = ("utf-16", "utf-32", "utf-8-sig", "shift_jis", "cp037")
    return st.sampled_from([text.encode(name, errors="replace") for name in encodings])


def damaged(*valid: bytes) -> st.SearchStrategy[bytes]:
    """One of the valid files, changed at up to six places; or noise; or the file in another encoding; or nothing."""
    token = st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8))
    edit = st.tuples(st.sampled_from(_KINDS), st.integers(0, 65535), st.integers(0, 64), token)
    edits = st.lists(edit, min_size=1, max_size=6)
    mutated = st.builds(_all_edited, st.sampled_from(valid), edits)
    texts = st.sampled_from(valid).flatmap(lambda content: _recoded(content.decode("latin-1")))
    noise = st.one_of(st.binary(max_size=300), st.text(max_size=100).map(lambda t: t.encode(errors="surrogatepass")))
    return st.one_of(mutated, mutated, mutated, mutated, noise, texts, st.just(b""))


def _all_edited(content: bytes, edits: list) -> bytes:
    for edit in edits:
        content = _edited(content, edit)
    return content


VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 0.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**63, 2**64, 10**12, 10**30,
    "", "\0", "x", "../..", "/", "x" * 3000, "²", "\u2028", [], {}, [[]], [None], {"": None}, [1, 2, 3], {"a": [{}]},
)  # fmt: skip


def _places(document: Any, path: tuple = ()) -> list[tuple]:
    """The path of every value below the top."""
    inside = document.items() if isinstance(document, dict) else ()
    inside = enumerate(document) if isinstance(document, list) else inside
    return [place for key, value in inside for place in ((*path, key), *_places(value, (*path, key)))]


def _changed(document: Any, change: tuple[int, str, Any]) -> Any:
    number, kind, value = change
    places = _places(document)
    if not places or kind == "whole":
        return value
    *way, last = places[number % len(places)]
    holder = document
    for key in way:
        holder = holder[key]
    if kind == "delete":
        del holder[last]
    elif kind == "add" and isinstance(holder, dict):
        holder[str(value)[:50]] = copy.deepcopy(value)
    elif kind == "add":
        holder.insert(last, copy.deepcopy(value))
    else:
        holder[last] = copy.deepcopy(value)
    return document


def damaged_document(document: Any) -> st.SearchStrategy[Any]:
    """A JSON document with up to four of its values replaced, removed or added."""
    values = st.one_of(st.sampled_from(VALUES), st.integers(), st.floats(), st.text(max_size=20))
    kinds = st.sampled_from(("set", "set", "set", "set", "delete", "add", "whole"))
    changes = st.lists(st.tuples(st.integers(0, 10_000), kinds, values), min_size=1, max_size=4)
    return st.builds(_all_changed, st.just(document), changes)


def _all_changed(document: Any, changes: list) -> Any:
    document = copy.deepcopy(document)
    for change in changes:
        document = _changed(document, change)
    return document


def as_json(document: Any) -> bytes:
    return json.dumps(document).encode()


_SIZES = (0, 1, 2, 3, 7, -1, 10**6, 2**31, 10**9, 10**12, 2**62, 2**63, 2**64, 10**30)
_TYPES = (
    "'<f4'", "'<f4'", "'<f8'", "'<f2'", "'<i8'", "'>i4'", "'|u1'", "'|b1'", "'<c16'", "'|O'", "'<U5'", "'<U500000000'",
    "'|S0'", "'|V0'", "'<M8[s]'", "'(1000000,)f4'", "'(2,)<i4'", "[('a', '<f4')]", "[('a', '|O')]", "'junk'", "''", "3",
    "None", "[]", "{}", "('<f4', (10**9,))", "'<f4, <f4'",
)  # fmt: skip


def _array_file(kind: str, shape: list[int], order: str, version: int, lie: int, body: bytes) -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {tuple(shape)}, }}\n".encode()
    length = max(0, len(header) + lie)
    size = struct.pack("<H", length % 65536) if version == 1 else struct.pack("<I", length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + body


def array_files() -> st.SearchStrategy[bytes]:
    """.npy files whose headers claim anything at all of a body of a few bytes."""
    return st.builds(
        _array_file,
        st.sampled_from(_TYPES),
        st.lists(st.one_of(st.sampled_from(_SIZES), st.integers(0, 5)), max_size=4),
        st.sampled_from(("False", "False", "True", "0", "'x'")),
        st.sampled_from((1, 1, 2, 3, 9)),
        st.sampled_from((0, 0, 0, 0, 1, -1, -20, 60_000, 2**31)),
        st.binary(max_size=200),
    )
