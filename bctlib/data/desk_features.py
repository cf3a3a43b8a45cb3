"""Unit embeddings of the shipped desk models, for metrics and maps without torch: NumPy and safetensors only.

    new, old = load_desk_features("new-bct"), load_desk_features("old")
    scores = verification_scores(*new.first, *old.second)     # (new-bct, old) of Table 1

The files (`models/desk/features/`, seed 0) hold templates, not images: all of the 1:1 protocol, whose second templates
include both 1:N galleries. The probes of the 1:N protocol are not among them: they would take 6 MB a model.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from bctlib.base import locations
from bctlib.base.errors import BctError, unknown
from bctlib.data.templates import digest

FORMAT, ABOUT = "bctlib-desk-features-1", "bctlib"
_ABOUT = {"format", "model", "key", "device", "digest"}
_PARTS = {"first": True, "second": False, "training": True}
"""Parts of a file, and whether every file has it."""


class Rows(NamedTuple):
    """features: float16 [n, d], rows of norm 1. identity: int64 [n], indices into the glyph set."""

    features: np.ndarray
    identity: np.ndarray


@dataclass(frozen=True, eq=False)
class DeskFeatures:
    """Embeddings of one model.

    model: its name (`bctlib.models`). key: of its recipe. device: where they were computed, and in which precision.
    first: first templates of the 1:1 protocol (`bctlib.data.protocols`), which a query model embeds. training:
    distorted images of training identities, the same images for every model: what maps are fitted to.
    """

    model: str
    key: str
    device: str
    first: Rows
    training: Rows
    _second: Rows | None
    _enrolled: np.ndarray | None

    @property
    def second(self) -> Rows:
        """Second templates of the 1:1 protocol, which a gallery model embeds. Raises BctError if the file has none."""
        if self._second is None:
            raise BctError(f"the features of {self.model} hold no gallery: Table 1 searches those of old and new* only")
        return self._second

    @property
    def galleries(self) -> tuple[Rows, Rows]:
        """G1 and G2 of the 1:N protocol: one template of each of their identities. Raises BctError as `second`."""
        g1, g2 = (Rows(*(each[self._enrolled == number] for each in self.second)) for number in (1, 2))
        return g1, g2


def features_folder() -> Path:
    """Where a checkout has the files."""
    return locations.shipped_models_dir() / "desk" / "features"


def file_name(model: str) -> str:
    """Of a model: a shell and some file systems give an asterisk a meaning."""
    return f"{model.replace('*', '-star')}.safetensors"


def load_desk_features(model: str | Path) -> DeskFeatures:
    """The shipped features of a model of Table 1, seed 0; the digest is verified.

    model: its name (`new-star` is `new*`), or the path of such a file. Raises UsageError for a name that no file has,
    and BctError naming the file when it is missing, damaged or something else, or where the code is not in a checkout.
    """
    path = model if isinstance(model, Path) or str(model).endswith(".safetensors") else _shipped(model)
    try:
        with safe_open(path, "np") as file:
            about = json.loads(file.metadata()[ABOUT])
            arrays = {name: file.get_tensor(name) for name in file.keys()}
        if about["format"] != FORMAT or about.keys() != _ABOUT:
            raise ValueError(f"its format is not {FORMAT}")
        if digest_of_features(about, arrays) != about["digest"]:
            raise ValueError("its digest is not that of its content")
        parts = {part: _rows(arrays, part) for part in _PARTS if f"{part}.features" in arrays or _PARTS[part]}
        enrolled = arrays["second.gallery"] if "second" in parts else None
    except OSError as error:
        raise BctError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BctError(f"{path} is damaged, or no file of desk features ({' '.join(str(error).split())})") from error
    names = (about[name] for name in ("model", "key", "device"))
    return DeskFeatures(*names, parts["first"], parts["training"], parts.get("second"), enrolled)


def digest_of_features(about: dict, arrays: dict[str, np.ndarray]) -> str:
    """Digest of all that a file holds; the `digest` in `about` is left out."""
    names = sorted(arrays)
    text = json.dumps([sorted((name, said) for name, said in about.items() if name != "digest"), names])
    return digest(np.frombuffer(text.encode(), np.uint8), *(arrays[name] for name in names))


def _shipped(model: str) -> Path:
    folder = features_folder()
    if not locations.in_checkout():
        raise BctError(
            f"features of {model!r} come with a checkout of the project, in models/desk/features, and not with the "
            "installed package: expected the path of such a file"
        )
    path = folder / file_name(model)
    if not path.is_file():
        raise unknown("desk features", model, sorted(each.stem for each in folder.glob("*.safetensors")))
    return path


def _rows(arrays: dict[str, np.ndarray], part: str) -> Rows:
    features, identity = arrays[f"{part}.features"], arrays[f"{part}.identity"]
    if features.dtype != np.float16 or features.ndim != 2 or identity.shape != features.shape[:1]:
        raise ValueError(f"its {part} holds {features.dtype} {features.shape} and {identity.shape}")
    return Rows(features, identity.astype(np.int64))
