"""How long models took to train in each precision, from the committed results: for README, docs and notebooks."""

from collections.abc import Iterable
from dataclasses import dataclass

from bctlib.base.errors import BctError
from bctlib.methods import METHODS
from bctlib.models import find_model
from companion.experiments import find_experiment
from companion.measure.training_speed import SPEED_TABLE, TRAINING
from companion.results import PRECISIONS, arithmetic, load_rows
from companion.workbench import Workbench

TABLE, SCALE, INDEPENDENT = "table1", "desk", "new*"


@dataclass(frozen=True)
class TrainingTime:
    """What was committed of one precision, an entry per seed.

    seconds: of all models together. images_per_s: of the independent new model. device: as results have it.
    """

    precision: str
    device: str
    seconds: tuple[float, ...]
    images_per_s: tuple[float, ...]

    @property
    def text(self) -> str:
        """`37 to 47 minutes of one core a seed in bfloat16, at 2,280 to 3,258 images/s (5 seeds; cpu: ...)`."""
        n = len(self.seconds)
        seeds = f"{n} seed{'s' if n > 1 else ''}"
        minutes, rates = _span([each / 60 for each in self.seconds]), _span(self.images_per_s)
        return f"{minutes} minutes of one core a seed in {self.precision}, at {rates} images/s ({seeds}; {self.device})"


def training_time(precision: str, models: Iterable[str]) -> TrainingTime | None:
    """The time of these models of Table 1 at desk scale on CPUs; None if no seed has all in this precision."""
    wanted, models = f"cpu, {precision}", set(models)
    try:
        rows = load_rows(SCALE, TABLE, wanted)
    except BctError:
        return None
    if any(arithmetic(device) != wanted for device in rows["device"].iloc[0].split(" and ")):
        return None  # completed from the other precision
    took = rows[["seed", "query_model", "seconds"]].drop_duplicates().pivot(index="seed", columns="query_model")
    took = took["seconds"]
    if not models <= set(took.columns) or took[[*models]].isna().any(axis=None):
        return None
    rates = tuple(_images(INDEPENDENT, seed) / took.loc[seed, INDEPENDENT] for seed in took.index)
    return TrainingTime(precision, rows["device"].iloc[0], tuple(took[[*models]].sum(axis=1)), rates)


def _images(name: str, seed: int) -> float:
    bench = Workbench(SCALE, seed, "cpu")
    return bench.data.n_images(find_model(name).share) * bench.settings.schedule.epochs


def _span(values: Iterable[float]) -> str:
    least, most = (f"{value:,.0f}" for value in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"


@dataclass(frozen=True)
class CoreRate:
    """Images per second of one core's time in a precision (`python -m companion.measure.training_speed`)."""

    precision: str
    device: str
    network: str
    images_per_s: float

    def text(self, models: Iterable[str]) -> str:
        """`1,938 images/s of glyphnet-norm in float32 (about 60 minutes for the models; cpu: ...)`."""
        work = sum(_images(name, 0) * METHODS[find_model(name).method].cost for name in models)
        minutes = work / self.images_per_s / 60
        return (
            f"{self.images_per_s:,.0f} images/s of {self.network} in {self.precision} "
            f"(about {minutes:.0f} minutes for these models; {self.device})"
        )


def core_rates() -> dict[str, CoreRate]:
    """What was committed of each precision."""
    found = {}
    for precision in PRECISIONS:
        try:
            rows = load_rows(SCALE, SPEED_TABLE, f"cpu, {precision}")
            row = rows[rows["protocol"] == TRAINING].iloc[0]
        except (BctError, IndexError):  # nothing, or only speeds of whole trainings
            continue
        found[precision] = CoreRate(precision, row["device"], row["operating_point"], row["value"])
    return found


def training_text(models: Iterable[str] = (), target: str = TABLE) -> str:
    """A few sentences: how long these models (none: all of Table 1) take to train, in both precisions."""
    names = tuple(models) or find_experiment(TABLE).models
    found = [training_time(precision, names) for precision in PRECISIONS]
    sentences = [f"Trained anew, the {len(names)} models of `{target}` took {each.text}." for each in found if each]
    rates = core_rates()
    if rates:
        sentences.append(f"A core by itself makes {' and '.join(each.text(names) for each in rates.values())}.")
    if any(found):
        sentences.append("Models train side by side, one on each core.")
    about = "CPUs without bfloat16 (`avx512_bf16`), most laptops among them, train in float32"
    missing = "" if found[-1] or PRECISIONS[-1] in rates else "; how fast is not among the committed results yet"
    sentences.append(f"{about}, which takes longer and gives somewhat other numbers{missing}.")
    sentences.append(f"`./reproduce.sh plan {target} --force` measures in seconds how long it takes on your machine.")
    return " ".join(sentences)


def training_section() -> str:
    """For README and docs: all models of Table 1."""
    return training_text()
