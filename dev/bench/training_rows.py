"""What `bench training` measured, row by row, and the table that it prints while it goes on."""

from dataclasses import asdict, dataclass

from dev.bench.matrix_peak import MatrixPeak
from dev.bench.timed import Passes
from bctlib.base.progress import clock

HEADING = f"{'':<44}{'images/s':>10}{'s/pass':>10}{'ratio':>8}{'of peak':>9}"


@dataclass(frozen=True)
class Row:
    """One thing that goes through images.

    seconds: for `images` images, the median of `passes` measured passes; least, most: of them. flops_per_image: as
    PyTorch counts them, None where they are not asked for; share_of_peak: of `peak_flops_per_s`, the matrix product
    measured beside it, 0 to 1.
    ratio: seconds an image over those of the row `ratio_to` of the same part. extrapolated: the pass was measured on a
    part of its images.
    """

    part: str
    name: str
    images: int
    seconds: float
    least: float
    most: float
    passes: int
    flops_per_image: float | None = None
    share_of_peak: float | None = None
    peak_flops_per_s: float | None = None
    ratio: float | None = None
    ratio_to: str | None = None
    extrapolated: bool = False
    note: str = ""

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds

    def text(self) -> str:
        seconds = clock(self.seconds) if self.seconds >= 100 else f"{self.seconds:.2f}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}x"
        share = "" if self.share_of_peak is None else f"{100 * self.share_of_peak:.0f} %"
        note = ", ".join(filter(None, ["extrapolated" if self.extrapolated else "", self.note]))
        columns = f"{self.name:<44}{self.images_per_s:>10,.0f}{seconds:>10}{ratio:>8}{share:>9}"
        return f"{columns}  {note}".rstrip()

    def as_dict(self) -> dict:
        return asdict(self) | {"images_per_s": self.images_per_s}


class Table:
    """The rows so far; each is printed as it comes."""

    def __init__(self, peak: MatrixPeak):
        self.peak, self.rows = peak, []

    def heading(self, title: str) -> None:
        print(f"\n{title}\n{HEADING}", flush=True)

    def find(self, part: str, name: str) -> Row:
        return next(row for row in self.rows if (row.part, row.name) == (part, name))

    def add(
        self, part: str, name: str, passes: Passes, flops: float | None = None, ratio_to: str | None = None,
        epoch: int | None = None, note: str = "",
    ) -> Row:  # fmt: skip
        """Enter what was measured. flops: of an image; epoch: images of the whole pass, if only a part was measured."""
        images = epoch or passes.images
        grown = images / passes.images
        seconds = passes.median * grown
        share = None if flops is None else flops * images / seconds / self.peak.flops_per_s
        base = self.find(part, ratio_to) if ratio_to else None
        ratio = None if base is None else seconds / images / (base.seconds / base.images)
        row = Row(
            part, name, images, seconds, min(passes.seconds) * grown, max(passes.seconds) * grown, len(passes.seconds),
            flops, share, None if share is None else self.peak.flops_per_s, ratio, ratio_to, grown > 1, note,
        )  # fmt: skip
        self.rows.append(row)
        print(row.text(), flush=True)
        return row
