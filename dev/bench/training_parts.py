"""The parts of `bench training` on glyphs: each measures, prints its rows and enters them."""

from dataclasses import replace
from functools import partial

from dev.bench.generated_images import generated_glyphs
from dev.bench.plain_loop import measure_plain
from dev.bench.harness import SIDE, Bench, flops_of
from dev.bench.training_profile import bottleneck, operator_table, profile_training
from bctlib.data.photos.reading import default_workers
from bctlib.data.training_set import TrainingSet
from bctlib.training.loop import train
from bctlib.methods import OldModel
from bctlib.models import MODELS, ModelSpec

FULL_EPOCH_S = 60.0
"""An epoch that would take longer is measured on some steps, and its seconds extrapolated."""
TARGET_RATIO = {"cpu": 4, "cuda": 20}
TARGET_SHARE = 0.5


def loop(bench: Bench) -> None:
    """Ours against the plain loop, and what keeps ours from the peak."""
    recipe, classes = bench.recipe(MODELS["new*"]), bench.settings.n_train
    flops = flops_of(recipe, classes, (1, SIDE, SIDE))
    total = sum(flops.values())
    bench.table.heading(
        f"{recipe.backbone}, {SIDE} x {SIDE} pixels, {classes:,} identities, batch {recipe.schedule.batch}: "
        f"{total / 1e6:.1f} MFLOP an image, forward and backward"
    )
    measurements = {"ours": partial(bench.measure, recipe, bench.data, passes=1)}
    for workers in (0, default_workers()):
        name = f"plain loop, {workers} workers" if workers != 1 else "plain loop, 1 worker"
        measurements[name] = partial(measure_plain, recipe, bench.data, bench.device, bench.images, 1, workers)
    ours, *plain = (
        bench.table.add("loop", name, passes, total, None if name == "ours" else "ours")
        for name, passes in bench.in_turns(measurements).items()
    )
    best = min(plain, key=lambda row: row.ratio)
    found = profile_training(recipe, bench.data, bench.device, bench.images, flops, bench.table.peak)
    bench.operators += found
    print(f"\n{operator_table(found)}\n")
    bench.say(
        f"ours is {best.ratio:.1f} times as fast as the plain loop ({best.name.split(', ')[1]}, its better form); "
        f"target: {TARGET_RATIO[bench.device.type]}, {_met(best.ratio >= TARGET_RATIO[bench.device.type])}"
    )
    bench.say(
        f"ours computes at {100 * ours.share_of_peak:.0f} % of the measured {bench.table.peak.dtype} matrix product; "
        f"target: {100 * TARGET_SHARE:.0f} %, {_met(ours.share_of_peak >= TARGET_SHARE)}"
    )
    bench.say(bottleneck(found))


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def methods(bench: Bench) -> None:
    """Each method of the model list, by the first model that has it, relative to independent training."""
    first: dict[str, ModelSpec] = {}
    for spec in (MODELS["new*"], *MODELS.values()):
        first.setdefault(spec.method, spec)
    classes = bench.settings.n_train
    data = generated_glyphs(max(8 * classes, bench.images), classes, SIDE)
    old = _old_model(bench, data)
    bench.table.heading(f"the methods; the old model knows half of the {classes:,} identities")
    measured = bench.in_turns({
        method: partial(bench.measure, bench.recipe(spec), data, old, passes=1) for method, spec in first.items()
    })  # fmt: skip
    for method, passes in measured.items():
        prepared = passes.preparing
        name = method if first[method].dim == old.dim else f"{method}, {first[method].dim} dimensions"
        note = f"before, once: {len(data) / prepared:,.0f} images/s through the old model" if prepared else ""
        bench.table.add("methods", name, passes, ratio_to=None if method == "independent" else "independent", note=note)


def _old_model(bench: Bench, data: TrainingSet) -> OldModel:
    """After one step of training: what it has learnt does not matter here."""
    recipe, half = bench.recipe(MODELS["old"]), len(data.classes) // 2
    known = (data.labels < half).nonzero()[: recipe.schedule.batch, 0]
    few = TrainingSet(data.images[known], data.labels[known], data.classes[:half])
    trained = train(replace(recipe, schedule=replace(recipe.schedule, epochs=1)), few, None, bench.device, "old")
    return OldModel(trained.backbone, trained.head, trained.classes)


def growth(bench: Bench) -> None:
    """Seconds of an epoch over sets of several sizes; the head grows with them."""
    bench.table.heading("an epoch, 32 images of each identity")
    recipe = bench.recipe(MODELS["new*"])
    for images in bench.amount.growth:
        classes = images // 32
        data = generated_glyphs(images, classes, SIDE)
        passes = bench.measure(recipe, data, images=min(images, bench.images))
        if passes.images < images and passes.median * images / passes.images <= FULL_EPOCH_S:
            passes = bench.measure(recipe, data, images=images, passes=1)
        flops = sum(flops_of(recipe, classes, (1, SIDE, SIDE)).values())
        bench.table.add("growth", f"{images:,} images, {classes:,} identities", passes, flops, epoch=images)
