"""Jobs that are compared with one another: other views and answers, other networks, depths and widths.

Used by notebook 05, which reads what became of them, and by `make study`, which trains each of them once.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import paddle
from scipy.stats import binomtest

from helpers import networks, runtime, tasks
from helpers.estimates import Estimate, figure
from helpers.judgements import dice
from helpers.records import Record

SEED = 2020  # of all runs that are compared
DRAWS = 2000
RARE = 0.05  # how seldom a difference by chance may be
RUN = runtime.Run(SEED, "quick", "cpu", runtime.BUILD / "no-real-data")  # to build a network, no data are looked for


class Variant(NamedTuple):
    """One of several jobs: what it is called beside the others, and how it is made from a run."""

    label: str
    make: Callable[[runtime.Run], tasks.Task]


COMPARED: Mapping[str, Mapping[str, Variant]] = {
    "views": {
        "l3": Variant("frontal, every vertebra", tasks.l3),
        "l3-sagittal-levels": Variant("sagittal, every vertebra", partial(tasks.l3, view="sagittal")),
        "l3-both-levels": Variant("both, every vertebra", partial(tasks.l3, view="both")),
        "l3-frontal-row": Variant("frontal, L3 by row", partial(tasks.l3, ask="row")),
        "l3-frontal-pixel": Variant("frontal, L3 by pixel", partial(tasks.l3, ask="pixel")),
    },
    "outlines": {
        "pneumothorax": Variant("ResUNet", tasks.pneumothorax),
        "pneumothorax-UNet": Variant("U-Net", partial(tasks.pneumothorax, network="UNet")),
    },
    "depths": {
        "xray": Variant("ResNet-18", tasks.xray),
        **{
            f"xray-{depth}": Variant(f"ResNet-{depth}", partial(tasks.xray, depth=depth))
            for depth in (34, 50, 101, 152)
        },
    },
    "shortcuts": {
        "xray-34": Variant("ResNet-34", partial(tasks.xray, depth=34)),
        "xray-34-plain": Variant("the same without shortcuts", partial(tasks.xray, depth=34, shortcuts=False)),
    },
    "widths of CNN3D": {
        "ct-width2": Variant("2 filters", partial(tasks.ct, width=2)),
        "ct-width4": Variant("4 filters", partial(tasks.ct, width=4)),
        "ct": Variant("8 filters", tasks.ct),
        "ct-width16": Variant("16 filters", partial(tasks.ct, width=16)),
    },
    "widths of ResNet-18": {
        "xray-width3": Variant("3 filters", partial(tasks.xray, width=3)),
        "xray-width6": Variant("6 filters", partial(tasks.xray, width=6)),
        "xray": Variant("12 filters", tasks.xray),
        "xray-width24": Variant("24 filters", partial(tasks.xray, width=24)),
    },
}


def results(records: Iterable[Record], what: str) -> list[tuple[str, Estimate]]:
    """What became of some variants, in the order of ``COMPARED``; those without a run are left out.

    Args:
        records: From `records.read_all`.
        what: A key of ``COMPARED``.

    Taught in notebook 05.
    """
    found = {one.task: one.passport.estimate for one in records if one.seed == SEED and not one.flaw}
    return [(variant.label, found[name]) for name, variant in COMPARED[what].items() if name in found]


def sized(records: Iterable[Record], what: str) -> list[tuple[str, float, Estimate]]:
    """The same, with the number of parameters of each network.

    Taught in notebook 05.
    """
    names = {variant.label: variant for variant in COMPARED[what].values()}
    with paddle.LazyGuard():  # to count them, no weights need be drawn
        return [
            (label, networks.count_parameters(names[label].make(RUN).network())[0], estimate)
            for label, estimate in results(records, what)
        ]


def outlined(records: Iterable[Record], first: str = "pneumothorax", second: str = "pneumothorax-UNet") -> str:
    """Hold the masks of two networks against each other, image by image, on the test images that show air.

    Args:
        records: From `records.read_all`.
        first, second: Their tasks.

    Returns:
        The mean difference in Dice with its 95 % interval, from a bootstrap over patients, and how probable it is that
        coins fall as unevenly as the images on which the networks differ; or what is missing.

    Taught in notebook 05.
    """
    found = {one.task: one for one in records if one.seed == SEED and not one.flaw}
    if missing := [name for name in (first, second) if name not in found]:
        return f"No run of {' and '.join(missing)} is recorded, `make study` makes them."
    one, other = (found[name].parts["test"] for name in (first, second))
    ill = one["truth"] == 1
    better, patients = (dice(one) - dice(other))[ill], np.unique(one["group"][ill], return_inverse=True)[1]
    sums, counts = np.bincount(patients, better), np.bincount(patients)
    drawn = np.random.default_rng(0).integers(len(counts), size=(DRAWS, len(counts)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])
    labels = [COMPARED["outlines"][name].label for name in (first, second)]
    outlined_by = [
        f"{name} {int(np.sum(part['found_pixels'] > 0))}" for name, part in zip(labels, (one, other), strict=True)
    ]
    means = [figure(float(dice(part)[ill].mean())) for part in (one, other)]
    # Where most images do not differ at all, a bootstrap knows too few differences to be believed alone.
    more, differ = int(np.sum(better > 0)), int(np.sum(better != 0))
    coins = binomtest(more, differ).pvalue if differ else 1.0
    told = "these images cannot tell them apart" if low <= 0 <= high or coins > RARE else "more than luck of the images"
    return (
        f"Dice on {int(ill.sum())} images with air: {labels[0]} {means[0]}, {labels[1]} {means[1]}; difference "
        f"{better.mean():+.2f}, 95 % interval {low:+.2f} to {high:+.2f}.\n"
        f"On {differ} of these images they differ, on {more} in favour of {labels[0]}; coins fall as unevenly with "
        f"p = {coins:.2g}: {told}. One training each: the luck of the training is not in it.\n"
        f"Images on which anything was outlined, of {len(one['truth'])}: {', '.join(outlined_by)}."
    )
