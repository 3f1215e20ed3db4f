"""What notebook 05 shows of passports and records: which of them, in which words, and the parts of the report.

Used by notebook 05.
"""

from collections.abc import Sequence

import numpy as np

from helpers import clock, comparison, comparison_charts, flaws, luck, prices, report, runtime, variants
from helpers.estimates import Estimate, figure, plural, wilson
from helpers.judgements import right
from helpers.passports import Passport
from helpers.prices import Price
from helpers.records import FOLDER, Record
from helpers.tasks import TASKS

SCANS = (15, 30, 60, 120, 240, 480, 960)  # test scans of which the luck is drawn
GAP, MARK = 0.05, 60
TWIN = "no-relu"  # a recipe nearly equal to that of notebook 01, tested on the same scans
COMMITTED, OWN = FOLDER.parent, runtime.BUILD / "passports"


def folders(run: runtime.Run) -> list:
    """Where passports lie: in a quick run the committed ones first, in others the reader's own.

    Taught in notebook 05.
    """
    return [COMMITTED, OWN] if run.size == "quick" else [OWN, COMMITTED]


def origin(kept: Sequence[Record]) -> str:
    """What the records are of, "phantom" or "real"; nothing without a record.

    Taught in notebook 05.
    """
    return kept[0].passport.data if kept else ""


def card(kept: Sequence[Record], refused: Sequence[str]) -> str:
    """How many runs of each job are recorded, sound and with a mistake, and with how many seeds.

    Taught in notebook 05.
    """
    lines = []
    for task in TASKS:
        own = [one for one in kept if one.task.partition("-")[0] == task]
        with_flaw = sum(bool(one.flaw) for one in own)
        seeds = plural(len({one.seed for one in own}), "seed")
        lines.append(f"{task:<13} {len(own) - with_flaw:>3} sound runs, {with_flaw:>3} with a mistake, {seeds}")
    return "\n".join([*lines, *refused])


def judged(kept: Sequence[Record], slug: str, seed: int) -> str:
    """One run's answers, judged soundly and with a mistake of judgement.

    Args:
        kept: The records.
        slug: Of a mistake that only changes the judgement.
        seed: Of the run.

    Taught in notebook 05.
    """
    flaw = next(one for one in flaws.FLAWS if one.slug == slug)
    chosen = [one for one in kept if (one.task, one.flaw, one.seed) == (flaw.task, "", seed)]
    if not chosen:
        return f"No run of {flaw.task} with seed {seed} is recorded, `make study` makes it."
    sound, flawed = flaw.judge(chosen[0], chosen[0])
    return f"{flaw.task}, seed {seed}: {flaw.metric} {figure(sound)}; {flaw.name}: {figure(flawed)}"


def published(kept: Sequence[Record], task: str) -> tuple[float, str] | None:
    """The published figure of a job and where it stands.

    Taught in notebook 05.
    """
    return next((one.passport.published for one in kept if one.task == task), None)


def by_seed(kept: Sequence[Record]) -> dict[str, dict[int, Estimate]]:
    """What each job reached with each seed, as `comparison_charts.seeds` takes it.

    Taught in notebook 05.
    """
    return {
        task: {one.seed: one.passport.estimate for one in kept if one.task == task and not one.flaw} for task in TASKS
    }


def crossed(kept: Sequence[Record], first: str, second: str) -> tuple[int, int, int, int]:
    """On how many of the same test scans are both jobs right, only the first, only the second, and neither?

    Args:
        kept: The records.
        first, second: Two jobs of chest CT.

    Raises:
        ValueError: If one of them is not recorded, or they were not asked about the same scans.

    Taught in notebook 05.
    """
    found = {one.task: one for one in kept if one.seed == variants.SEED and not one.flaw}
    if missing := [name for name in (first, second) if name not in found]:
        raise ValueError(f"no run of {' and '.join(missing)} is recorded; `make study` makes them")
    one, other = found[first], found[second]
    if (one.passport.data_hash, one.passport.split_hash) != (other.passport.data_hash, other.passport.split_hash):
        raise ValueError(f"{first} and {second} were not asked about the same scans")
    a, b = _right(one), _right(other)
    return tuple(int(np.sum(cases)) for cases in (a & b, a & ~b, ~a & b, ~a & ~b))


def _right(record: Record) -> np.ndarray:
    test = record.parts["test"]
    return (test["score"] >= 0.5) == (test["truth"] == 1)


def report_of(right: int, cases: int, majority: float) -> Estimate:
    """An accuracy as a paper might report it, with its interval and the share of the commoner class.

    Example:
        >>> print(report_of(right=19, cases=20, majority=0.9))
        accuracy 0.95 (19 of 20), 95 % interval 0.76 to 0.99; always-majority 0.90

    Taught in notebook 05.
    """
    return Estimate("accuracy", right / cases, *wilson(right, cases), right, cases, "always-majority", majority)


def chances(kept: Sequence[Record]) -> luck.Apart | str:
    """How often two equal recipes look five points apart with sixty scans; as good as the CTs' network, and as fickle.

    How often two networks agree on the same scans is taken from the network of notebook 01 and its twin without a ReLU.

    Taught in notebook 05.
    """
    found, twins = ({one.seed: one for one in kept if (one.task, one.flaw) == ("ct", flaw)} for flaw in ("", TWIN))
    seeds = sorted(found.keys() & twins.keys())
    if len(seeds) < luck.LEAST_SEEDS:
        return "There are too few runs of ct to tell how fickle it is: `make study` makes them."
    mean, sd, *_ = luck.mean_interval([right(one.parts["test"]) for one in found.values()])
    agree = [np.mean(_right(found[seed]) == _right(twins[seed])) for seed in seeds]
    spread = max(0.0, sd**2 - mean * (1 - mean) / MARK) ** 0.5
    return luck.apart(mean, MARK, GAP, spread, float(np.mean(agree)))


def apart_by_cases(found: luck.Apart) -> tuple[Sequence[int], dict[str, list[float]]]:
    """The same by the number of test scans, as `comparison_charts.apart` takes it.

    Taught in notebook 05.
    """
    drawn = [luck.apart(found.accuracy, cases, GAP, found.spread, found.agreement) for cases in SCANS]
    return SCANS, {"each its own scans": [one.own for one in drawn], "both the same": [one.same for one in drawn]}


def about(found: Sequence[Passport], run: runtime.Run) -> report.About:
    """What every figure of the report comes from.

    Taught in notebook 05.
    """
    kinds = sorted({one.data for one in found})
    return report.About(" and ".join(kinds) or "no", run.size, runtime.versions())


def sections(
    table: comparison.Table,
    paid: Sequence[Price],
    kept: Sequence[Record],
    times: clock.Clock,
    chance: luck.Apart | str,
) -> list[report.Section]:
    """The parts of the report, from what the notebook has shown.

    Taught in notebook 05.
    """
    tables = [
        report.Section(sheet.title, "\n".join(sheet.notes), sheet.rows)
        for sheet in (table.sizes, table.costs, table.results)
    ]
    data = origin(kept)
    study = f"{data} data, run size {kept[0].passport.run}" if kept else "-"
    luck_text = "\n\n".join([*(str(luck.seeds(kept, task)) for task in TASKS), str(chance)])
    sources = "\n".join(f"{letter}: {title}" for letter, title in flaws.SOURCES.items())
    price = "What a mistake changes, by seed, in points of its metric: + flatters, - harms."
    once, when = "One training each, with one seed.", comparison_charts.minutes(times.rows)

    def drawn(title: str, what: str, sized: bool = True) -> report.Section:
        if sized:
            return report.Section(
                title, once, chart=comparison_charts.against(title, "parameters", variants.sized(kept, what), data)
            )
        return report.Section(
            title, once, chart=comparison_charts.variants(title, variants.results(kept, what), origin=data)
        )

    return [
        *tables,
        report.Section("The luck of the seed", luck_text, chart=comparison_charts.seeds(by_seed(kept), data)),
        report.Section("The mistakes", sources, flaws.rows(), origin="-"),
        report.Section("What each mistake costs", price, chart=comparison_charts.ranking(paid, data)),
        report.Section("The same in figures", "", [prices.HEADER, *(one.row for one in paid)], origin=study),
        drawn("L3: views and answers", "views", sized=False),
        report.Section("U-Net or ResUNet?", variants.outlined(kept)),
        drawn("Depth: chest X-rays", "depths", sized=False),
        drawn("Width: CNN3D on chest CT", "widths of CNN3D"),
        drawn("Width: ResNet-18 on chest X-rays", "widths of ResNet-18"),
        report.Section("The class clock", "\n".join(times.notes), times.table, when, origin="this machine"),
    ]
