"""What a check of data found, printed as it is found: at most so many lines of a kind, and a verdict."""

from collections import Counter
from dataclasses import dataclass, field

MOST_LINES = 20


@dataclass
class CheckReport:
    """Findings on one data set. limit: lines printed of each kind of finding; the others are counted."""

    title: str
    limit: int = MOST_LINES
    found: Counter = field(default_factory=Counter)

    def __post_init__(self):
        print(self.title)

    def there(self, text: str) -> None:
        self._line("there", text)

    def note(self, text: str) -> None:
        """Worth knowing, but no fault."""
        self._line("note", text)

    def missing(self, text: str) -> None:
        self._line("missing", text)

    def damaged(self, text: str) -> None:
        self._line("damaged", text)

    def _line(self, kind: str, text: str) -> None:
        self.found[kind] += 1
        if self.found[kind] <= self.limit:
            print(f"  {kind:<9}{text}", flush=True)

    @property
    def is_usable(self) -> bool:
        return not (self.found["missing"] or self.found["damaged"])

    def close(self) -> bool:
        """Print what was left out and the verdict; whether the data can be used."""
        for kind, n in self.found.items():
            if n > self.limit:
                print(f"  {kind:<9}... and {n - self.limit:,} more")
        faults = ", ".join(f"{self.found[kind]:,} {kind}" for kind in ("missing", "damaged") if self.found[kind])
        print(f"  {'=> usable' if self.is_usable else f'=> not usable as it is: {faults}'}\n", flush=True)
        return self.is_usable
