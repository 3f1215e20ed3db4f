"""The mistakes of the five published tutorials: what each is, and how its price is found.

Used by notebook 05, which sets out what each of them costs, and by `make study`, which trains with those that change
the job. One that only spoils the judgement is judged from the answers that a sound run left behind.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from helpers import judgements, switches
from helpers.jobs import Task
from helpers.records import FLAWED, Record

SOURCES = {
    "P": "3D image classification of lung CT scans with PaddlePaddle",
    "K": "3D image classification from CT scans (Keras)",
    "L": "Spine CT localization with a U-Net, part 2",
    "S": "Neural network image segmentation: pneumothorax in X-rays",
    "X": "Classification of chest images with ResNet",
}


@dataclass(frozen=True)
class Flaw:
    """One published mistake.

    Attributes:
        slug: For the names of files.
        name: In a few words.
        source: The letter of the tutorial, see ``SOURCES``.
        task: The job that it is put into, or whose judgement it spoils.
        metric: The figure that it changes.
        what: What is done, in a sentence.
        switch: Gives the job with this mistake; None where the job is sound and only its judgement is not.
        judge: The sound figure and the flawed one, from the records of a sound run and of one with this mistake; where
            there is no switch, both are the same record.
    """

    slug: str
    name: str
    source: str
    task: str
    metric: str
    what: str
    switch: Callable[[Task], Task] | None = None
    judge: Callable[[Record, Record], judgements.Figures] = judgements.headlines

    @property
    def retrains(self) -> bool:
        """Whether a network must be trained to know its price."""
        return self.switch is not None

    def on(self, task: Task) -> Task:
        """The job with this mistake, under a name that says so.

        Raises:
            ValueError: If the mistake is one of judgement, or the job another one.
        """
        if self.switch is None or task.name != self.task:
            raise ValueError(f"{self.slug} cannot be put into {task.name}: it is a matter of {self.task}")
        return replace(self.switch(task), name=f"{task.name}{FLAWED}{self.slug}")


NEAR, PIXEL, DICE = "found within 15 mm", "l3-frontal-pixel", "Dice of positives"
FLAWS = (
    Flaw(
        "heart",
        "validates on training scans",
        "P",
        "ct",
        "accuracy",
        "The validation set is made of the training scans, so its accuracy tells what is known by heart.",
        judge=judgements.by_heart,
    ),
    Flaw(
        "unsorted",
        "splits an unsorted listing",
        "P",
        "ct",
        "ROC AUC",
        "The first 70 of a listing that each disk gives in its own order are for training.",
        switches.one_by_one,
    ),
    Flaw(
        "no-relu",
        "lacks a ReLU in the head",
        "P",
        "ct",
        "ROC AUC",
        "Nothing stands between the two dense layers, and two linear layers in a row are one.",
        switches.without_relu,
    ),
    Flaw(
        "monitors",
        "keeps by loss, reports by accuracy",
        "K",
        "ct",
        "accuracy",
        "The best validation accuracy of any epoch is reported, while the weights kept are those of the lowest loss.",
        judge=judgements.best_of_all,
    ),
    Flaw(
        "eight",
        "tests eight scans",
        "L",
        "l3",
        NEAR,
        "Testing stops after the first eight scans that show L3.",
        judge=judgements.first_eight,
    ),
    Flaw(
        "edge",
        "compares with the band's edge",
        "L",
        "l3",
        f"found within {judgements.CLOSE:g} mm",
        "Rows are 6 mm off: 3 are added to what was found, and it is held against the label's upper edge, 3 above.",
        judge=judgements.from_the_edge,
    ),
    Flaw(
        "band",
        "labels columns that are black",
        "L",
        PIXEL,
        NEAR,
        "The label reaches over 70 % of the columns, but the image is black from 65 % on.",
        switches.with_long_band,
    ),
    Flaw(
        "tall",
        "drops tall scans",
        "L",
        "l3",
        NEAR,
        "Scans whose L3 lies more than 512 mm below the first row are left out without a word.",
        judge=judgements.without_the_tall,
    ),
    Flaw(
        "minus-one",
        'reads "-1" as a mask',
        "S",
        "pneumothorax",
        DICE,
        'Only " -1" counts as empty; a table that writes "-1" makes every healthy image a positive one.',
        judge=judgements.healthy_as_ill,
    ),
    Flaw(
        "last-mask",
        "keeps the last mask only",
        "S",
        "pneumothorax",
        DICE,
        "Of an image's several masks only the last one is kept.",
        judge=partial(judgements.against, "last"),
    ),
    Flaw(
        "summed",
        "adds up overlapping masks",
        "S",
        "pneumothorax",
        DICE,
        "An image's masks are added up, so that pixels in two of them count twice.",
        judge=partial(judgements.against, "summed"),
    ),
    Flaw(
        "pooled",
        "pools Dice over a batch",
        "S",
        "pneumothorax",
        "mean Dice",
        "The pixels of a batch are thrown into one pot; the competition counts image by image.",
        judge=judgements.pooled_by_batch,
    ),
    Flaw(
        "bytes",
        "feeds greys of 0 to 255",
        "S",
        "pneumothorax",
        "ROC AUC",
        "A step that should bring greys to [0, 1] divides by 1.",
        switches.in_bytes,
    ),
    Flaw(
        "wrapped",
        "adds noise that wraps around",
        "X",
        "xray",
        "accuracy",
        "Noise is added in 8 bits, where black less 3 is nearly white.",
        switches.with_wrapped_noise,
    ),
    Flaw(
        "copies",
        "parts copies and patients",
        "X",
        "xray",
        "accuracy",
        "Images are divided one by one, so that copies of training images, and their patients, are in the test set.",
        switches.one_by_one,
    ),
    Flaw(
        "hospital",
        "one hospital a class",
        "X",
        "xray",
        "accuracy",
        "Nearly all images of a class come from one hospital, and are tested there; soundly, in other hospitals.",
        switches.in_one_hospital,
        judgements.at_home,
    ),
)


def rows() -> list[list[str]]:
    """All mistakes as a table, the header first: what it is, where it was published, and how its price is found.

    Used by notebook 05.
    """
    head = ["mistake", "tutorial", "job", "price", "what is done"]
    kinds = {True: "trained", False: "judged"}
    return [head, *([one.name, one.source, one.task, kinds[one.retrains], one.what] for one in FLAWS)]


def card() -> str:
    """The tutorials and their mistakes as plain text.

    Taught in notebook 05.
    """
    sources = [f"{letter}: {title}" for letter, title in SOURCES.items()]
    lines = [f"{one.source}  {one.name} [{'trained' if one.retrains else 'judged'}]\n     {one.what}" for one in FLAWS]
    return "\n".join([*sources, "", *lines])
