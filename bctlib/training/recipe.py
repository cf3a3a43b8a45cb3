"""A recipe: everything that determines the numbers of one trained model, and nothing else.

Its digest is the model's address in the store. Device, number of workers and commit are not in it. The digest of the
old model's recipe is in it, so that models trained against different old models have different keys.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from bctlib.base.errors import BctError

# Raised by hand when the same recipe would train to other numbers because the code has changed.
ALGORITHM = 1


@dataclass(frozen=True)
class Schedule:
    """Stochastic gradient descent with momentum.

    epochs are passes over the training set at hand; batch is the global batch size. kind `one-cycle` warms up
    linearly over the first `warm_up` share of all steps and falls to 0 along a cosine; `steps` divides the rate by 10
    after each epoch in `drops` (paper Sec. 3.2: 0.1, drops after 8, 12 and 14 of 16 epochs, batch 320).
    """

    kind: str
    epochs: int
    batch: int
    rate: float
    weight_decay: float = 5e-4
    momentum: float = 0.9
    nesterov: bool = True
    warm_up: float = 0.2
    drops: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One model to be trained.

    data: version of the data set and how it was split. share: of the training identities. classes and images: their
    counts, for a person who reads the recipe. head_settings: scale and margin. options: lambda and the switches of
    the method. old: digest of the old model's recipe, or None. code: digest of the source of a network that is not
    bctlib's or torchvision's (`network_code`); left out of the text where it is None.
    """

    data: str
    share: float
    seed: int
    backbone: str
    dim: int
    head: str
    method: str
    schedule: Schedule
    relu: bool = False
    head_settings: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    distortion: dict[str, Any] = field(default_factory=dict)
    old: str | None = None
    algorithm: int = ALGORITHM
    code: str | None = None

    def text(self) -> str:
        """Canonical JSON."""
        raw = asdict(self)
        if self.code is None:
            del raw["code"]
        return json.dumps(raw, sort_keys=True, separators=(",", ":"))

    @property
    def key(self) -> str:
        """First 16 hexadecimal digits of the sha256 of the canonical JSON."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:16]

    @classmethod
    def from_text(cls, text: str) -> "Recipe":
        """Read what `text` wrote. Raises BctError for a missing or unknown field."""
        try:
            raw = json.loads(text)
            known = {f.name for f in fields(cls)}
            if set(raw) | {"code"} != known:
                raise BctError(f"recipe has the fields {sorted(raw)}, expected {sorted(known)}")
            for name in ("options", "distortion", "schedule"):  # JSON has no tuples
                raw[name] = {key: tuple(v) if isinstance(v, list) else v for key, v in raw[name].items()}
            return cls(**{**raw, "schedule": Schedule(**raw["schedule"])})
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise BctError(f"not a recipe: {error}") from error
