"""The strength chosen by open-set search on validation identities: by hand, against the cosine, and what is refused."""

import numpy as np
import pytest
from feature_pairs import IDS, pairs, refused, unit

from bctlib.metrics.identification import search, tpir_over_galleries
from bctlib.upgrade.align import OpenSet, command, fit
from bctlib.upgrade.align.kinds import KINDS
from bctlib.upgrade.align.open_set import SPLIT_SEED


def validation(n_identities: int = 40, per_identity: int = 6, seed: int = 3):
    """Images in clusters, by both models: z, o and identities, in mixed order."""
    rng = np.random.default_rng(seed)
    z, o = pairs(n_identities, noise=0.1, seed=1)
    identities = rng.permutation(np.repeat(np.arange(n_identities), per_identity))
    near = [unit(each[identities] + 0.15 * rng.normal(size=(len(identities), 12))) for each in (z, o)]
    return *near, identities


def by_hand(made, z, o, identities, fpir):
    """TPIR with explicit loops over images: even places enrolled, the others queries, either half the gallery."""
    seen, enrolled = {}, []
    for identity in identities:
        enrolled.append(seen.get(identity, 0) % 2 == 0)
        seen[identity] = seen.get(identity, 0) + 1
    enrolled = np.array(enrolled)
    names = np.unique(identities)
    drawn = np.random.default_rng(SPLIT_SEED).permutation(len(names))[: len(names) // 2]
    results = []
    for half in (np.sort(drawn), np.setdiff1d(np.arange(len(names)), drawn)):
        gallery = np.stack([o[enrolled & (identities == names[each])].sum(0) for each in half])
        mapped = made.apply(z[~enrolled], "v2", "v1", o[~enrolled] if made.weight else None)
        results.append(search(mapped, identities[~enrolled], gallery.astype(np.float32), names[half]))
    return tpir_over_galleries(results, fpir)


@pytest.mark.parametrize("kind", ["ridge", "low-rank", "midpoint"])
def test_the_strength_is_the_one_with_the_highest_tpir(kind):
    z, o = pairs(60, noise=1.0)
    judge = OpenSet(*validation(), fpir=0.05)
    made = fit(z, o, kind, judge=judge, **IDS)
    base = "ridge" if kind == "midpoint" else kind
    values = {each: judge(fit(z, o, kind, strength=each, **IDS)) for each in KINDS[base].tried(12, 12)}
    assert values[made.strength] == max(values.values()) and len(set(values.values())) > 1
    assert judge(made) == pytest.approx(by_hand(made, *validation(), 0.05), abs=1e-6)
    assert made.chosen_on == "TPIR at FPIR 0.05 of 40 validation identities" and made.pairs == 60


def test_the_filter_is_chosen_without_pairs():
    head = unit(np.random.default_rng(5).normal(size=(30, 12)))
    made = fit(None, None, "span-filter", head=head, judge=OpenSet(*validation(), fpir=0.05), **IDS)
    assert made.pairs == 0 and made.chosen_on.startswith("TPIR")


def test_what_cannot_judge_is_refused():
    z, o, identities = validation()
    refused(lambda: OpenSet(z, o, identities, fpir=0.001), "allows one of them")
    refused(lambda: OpenSet(z, o, np.arange(len(z))), "two or more with two images")
    refused(lambda: OpenSet(z, o, identities[:-1]), "validation identities names 239 identities: expected 240")
    judge = OpenSet(z, o, identities, fpir=0.05)
    refused(lambda: fit(z, o, judge=judge, strength=0.1, **IDS), "a judge chooses the strength itself")
    refused(lambda: fit(z, o, judge=judge, identities=identities, **IDS), "a judge chooses the strength itself")


def test_the_command_chooses_on_validation_identities(tmp_path, capsys):
    z, o, identities = validation()
    for name, rows in (("v2", pairs(60)[0]), ("v1", pairs(60)[1]), ("val2", z), ("val1", o)):
        np.save(tmp_path / f"{name}.npy", rows.astype(np.float32))
    (tmp_path / "ids.txt").write_text("".join(f"id{each}\n" for each in identities))
    words = ["--new", f"{tmp_path}/v2.npy", "--old", f"{tmp_path}/v1.npy", "--out", f"{tmp_path}/map.safetensors"]
    chosen = ["--validation-new", f"{tmp_path}/val2.npy", "--validation-old", f"{tmp_path}/val1.npy", "--fpir", "0.05"]
    assert command.main([*words, *chosen]) == 2
    assert "--validation-identities is missing: --validation-new takes" in capsys.readouterr().err
    assert command.main([*words, *chosen, "--validation-identities", f"{tmp_path}/ids.txt"]) == 0
    assert "chosen on TPIR at FPIR 0.05 of 40 validation identities" in capsys.readouterr().out
