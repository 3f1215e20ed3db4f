"""Where the course's four real data sets come from, on whose terms, and how each is laid out for the notebooks.

Used by `python -m data_scripts.fetch` and by those who hand data on. All that is known of a source is from the public
record; sizes that are not exact are called so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from helpers import scans, siim

KAGGLE = "https://www.kaggle.com/datasets"
RELEASE = "https://github.com/hasibzunair/3D-image-classification-tutorial/releases"
L3_PAGES = "https://github.com/fk128/ct-slice-detection, and https://github.com/fk128/sarcopenia-ai, where it moved to"
COVID, NORMAL, VIRAL, OPACITY = "COVID", "NORMAL", "Viral Pneumonia", "Lung_Opacity"
XRAYS = {COVID: ("COVID", "COVID-19"), NORMAL: ("NORMAL",), VIRAL: ("Viral Pneumonia",)}


@dataclass(frozen=True)
class File:
    """One file that is downloaded over HTTP; the size in bytes and the SHA-256 where they are published."""

    name: str
    url: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Variant:
    """One of the ways in which a data set is published.

    Attributes:
        name: What ``--variant`` calls it.
        what: What it holds, in a few words.
        where: Its page, for people.
        size: Bytes to download; about, as the pages round it.
        unpacked: Bytes once laid out; about.
        files: What to download over HTTP.
        kaggle: Else: its name on Kaggle, for Kaggle's own client. Without either it is downloaded by hand.
        classes: For class folders: the folders of the archives that make up each class of the course, by class.
        counts: How many cases of each class are published. Of more, as many are drawn.
        notes: What a user should know of this variant.
    """

    name: str
    what: str
    where: str
    size: int
    unpacked: int
    files: tuple[File, ...] = ()
    kaggle: str = ""
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: str = ""


@dataclass(frozen=True)
class Source:
    """A data set: its name in the data root, its terms, and its variants, the usual one first.

    Attributes:
        name: One of `runtime.DATA_SETS`.
        title: Its name for people.
        layout: "scans" or "images" in class folders, a "table" of masks beside images, or one file of "projections".
        unit: What a case is.
        licence: In a line.
        terms: In a few sentences, as shown before the download and written beside the data.
        may_hand_on: Whether the terms allow to give the original files to others.
        citation: Whom to name.
        variants: At least one.
    """

    name: str
    title: str
    layout: str
    unit: str
    licence: str
    terms: str
    may_hand_on: bool
    citation: str
    variants: tuple[Variant, ...]

    def variant(self, name: str = "") -> Variant:
        """One variant by its name; the usual one without.

        Raises:
            ValueError: If there is none of that name.

        Example:
            >>> SOURCES["mosmed"].variant().name, SOURCES["radiography"].variant("2021").counts["NORMAL"]
            ('subset', 10192)
        """
        names = [variant.name for variant in self.variants]
        if name and name not in names:
            raise ValueError(f"the variants of {self.name} are {', '.join(names)}, but found {name!r}")
        return self.variants[names.index(name) if name else 0]


MOSMED = Source(
    name="mosmed",
    title="MosMedData, chest CT scans with findings of COVID-19",
    layout="scans",
    unit="scan",
    licence=scans.MOSMED_LICENCE,
    terms="""MosMedData is licensed under CC BY-NC-ND 3.0 (https://creativecommons.org/licenses/by-nc-nd/3.0/).
You may copy the original files and hand them on if you name the authors. You may not sell them or use them for gain,
and you may not hand on altered files: scans that were resampled, cropped or converted stay with you.""",
    may_hand_on=True,
    citation=scans.MOSMED,
    variants=(
        Variant(
            name="subset",
            what="100 scans without findings (CT-0) and 100 with ground-glass opacities (CT-23)",
            where=f"{RELEASE}/tag/v0.2",
            size=2_100_000_000,
            unpacked=2_100_000_000,
            files=(
                File("CT-0.zip", f"{RELEASE}/download/v0.2/CT-0.zip", 1_045_162_547),
                File("CT-23.zip", f"{RELEASE}/download/v0.2/CT-23.zip"),
            ),
            classes={"CT-0": ("CT-0",), "CT-23": ("CT-23",)},
            counts={"CT-0": 100, "CT-23": 100},
        ),
        Variant(
            name="full",
            what="all 1,110 scans, of which 254 of CT-0 and 170 of CT-2 and CT-3 are laid out",
            where=f"{KAGGLE}/mathurinache/mosmeddata-chest-ct-scans-with-covid19",
            size=11_900_000_000,
            unpacked=9_500_000_000,
            kaggle="mathurinache/mosmeddata-chest-ct-scans-with-covid19",
            classes={"CT-0": ("CT-0",), "CT-23": ("CT-2", "CT-3")},
            counts={"CT-0": 254, "CT-23": 170},
            notes="The notebook has two classes: CT-1 (under 25 % of the lung) and CT-4 (over 75 %) are kept aside.",
        ),
    ),
)
L3 = Source(
    name="l3",
    title="L3 on projections of CT scans",
    layout="projections",
    unit="scan",
    licence="none is published with it; the terms of its sources hold: TCIA, LiTS, Hammersmith Hospital",
    terms="""The authors publish no licence with this file. Its scans come from The Cancer Imaging Archive, from the
LiTS challenge and from Hammersmith Hospital, whose terms hold. Use it for teaching and research, name the authors and
these sources, and do not hand it on: whoever needs it downloads it from the authors.""",
    may_hand_on=False,
    citation="Kanavati et al. 2018, Automatic L3 slice detection in 3D CT images using fully-convolutional networks",
    variants=(
        Variant(
            name="published",
            what="frontal and sagittal projections with the row of L3 (l3_dataset.npz)",
            where=L3_PAGES,
            size=3_000_000_000,
            unpacked=3_000_000_000,
            notes="It is downloaded by hand from the authors' page, then: fetch l3 --from FILE.",
        ),
    ),
)
SIIM = Source(
    name="siim",
    title="SIIM-ACR Pneumothorax Segmentation",
    layout="table",
    unit="image",
    licence=siim.LICENCE,
    terms="""The images belong to a Kaggle competition (SIIM-ACR Pneumothorax Segmentation, 2019) and come from the set
ChestX-ray14 of the NIH. The rules of the competition hold (https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation/rules):
use them for learning and research, and do not hand them on. Whoever needs them downloads them with an account of
their own.""",
    may_hand_on=False,
    citation=siim.CITATION,
    variants=(
        Variant(
            name="mirror",
            what="DICOM radiographs in folders and train-rle.csv, the table of masks",
            where=f"{KAGGLE}/jesperdramsch/siim-acr-pneumothorax-segmentation-data",
            size=3_300_000_000,
            unpacked=3_300_000_000,
            kaggle="jesperdramsch/siim-acr-pneumothorax-segmentation-data",
            notes="The test images of the competition come without masks and are kept aside.",
        ),
    ),
)
NEWER = f"{KAGGLE}/tawsifurrahman/covid19-radiography-database"
RADIOGRAPHY = Source(
    name="radiography",
    title="COVID-19 Radiography Database",
    layout="images",
    unit="image",
    licence="that of the original authors of each image; for research and teaching, not to be handed on",
    terms="""The database was put together from several collections, and each image stays that of its original authors.
Use it for teaching and research, name the two articles of the makers, and do not hand it on: whoever needs it
downloads it from Kaggle with an account of their own.""",
    may_hand_on=False,
    citation="Chowdhury et al. 2020, Can AI help in screening viral and COVID-19 pneumonia?, IEEE Access 8; "
    "Rahman et al. 2021, Exploring the effect of image enhancement techniques on COVID-19 detection, Comput Biol Med",
    variants=(
        Variant(
            name="2020",
            what="1,200 COVID, 1,341 normal, 1,345 viral pneumonia: the counts of the published tutorial",
            where=NEWER,
            size=800_000_000,
            unpacked=200_000_000,
            kaggle="tawsifurrahman/covid19-radiography-database",
            classes=XRAYS,
            counts={COVID: 1200, NORMAL: 1341, VIRAL: 1345},
            notes="Kaggle hands out the version of 2021. From that one, as many images of each class are drawn as the "
            "version of 2020 had; they are not the same ones. An older archive of yours (--from) is taken as it is.",
        ),
        Variant(
            name="2021",
            what="3,616 COVID, 10,192 normal, 1,345 viral pneumonia, with masks of the lungs",
            where=NEWER,
            size=800_000_000,
            unpacked=700_000_000,
            kaggle="tawsifurrahman/covid19-radiography-database",
            classes=XRAYS,
            counts={COVID: 3616, NORMAL: 10192, VIRAL: 1345},
            notes="The published task has three classes: 6,012 images of Lung_Opacity are kept aside.",
        ),
        Variant(
            name="2021-four-classes",
            what="all 21,165 images, Lung_Opacity too, with masks of the lungs",
            where=NEWER,
            size=800_000_000,
            unpacked=900_000_000,
            kaggle="tawsifurrahman/covid19-radiography-database",
            classes=XRAYS | {OPACITY: ("Lung_Opacity",)},
            counts={COVID: 3616, NORMAL: 10192, VIRAL: 1345, OPACITY: 6012},
        ),
    ),
)
SOURCES = {source.name: source for source in (MOSMED, L3, SIIM, RADIOGRAPHY)}
