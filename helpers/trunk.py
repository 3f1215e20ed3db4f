"""A model of the trunk that is numbered from the head: every vertebra with its place, size and tilt, ribs and pelvis.

Used by `spines` and `bodies`, and so by notebook 02. Lengths are in mm. The patient's frame is RAS: x to the
patient's right, y to the front, z to the head; its origin is at the height of L3.
"""

from dataclasses import dataclass, replace

import numpy as np

from helpers.anatomy import Thorax, sample_thorax

# Body height, disc below, width and depth of an average adult's vertebrae (mm), after the usual tables of anatomy.
SIZES = {
    "C5": (13.0, 5.0, 26, 16),
    "C6": (13.0, 5.0, 27, 16),
    "C7": (14.5, 5.0, 29, 16),
    "T1": (16.5, 4.5, 30, 17),
    "T2": (17.5, 4.0, 28, 19),
    "T3": (18.0, 3.5, 27, 21),
    "T4": (18.5, 3.5, 27, 24),
    "T5": (19.0, 3.5, 28, 25),
    "T6": (19.5, 4.0, 29, 26),
    "T7": (20.0, 4.5, 30, 28),
    "T8": (20.5, 4.5, 31, 29),
    "T9": (21.0, 5.0, 33, 30),
    "T10": (22.0, 5.0, 35, 31),
    "T11": (23.0, 5.5, 38, 31),
    "T12": (25.0, 6.5, 41, 31),
    "L1": (26.5, 8.0, 42, 32),
    "L2": (27.5, 9.5, 44, 33),
    "L3": (28.0, 10.5, 46, 34),
    "L4": (27.5, 11.0, 48, 35),
    "L5": (26.5, 10.0, 51, 35),
    "L6": (26.0, 9.0, 52, 35),
}
# How far a vertebra leans forward, as a share of the slope of the sacrum: lordosis below, kyphosis above.
LEANS = {
    "C5": 0.3,
    "C7": 0.5,
    "T1": 0.50,
    "T4": 0.28,
    "T6": 0.12,
    "T8": -0.06,
    "T10": -0.22,
    "T12": -0.28,
    "L1": -0.25,
    "L2": -0.16,
}
LEANS |= {"L3": 0.0, "L4": 0.26, "L5": 0.62, "L6": 0.8}


@dataclass(frozen=True, eq=False)
class Vertebra:
    """One vertebra: its name, where its body's centre lies, and how large it is."""

    name: str
    centre: np.ndarray
    axes: np.ndarray  # [3, 3]: its own right, front and up, as columns
    height: float  # of the body
    disc: float  # height of the disc below
    width: float
    depth: float
    ribs: tuple[float, float]  # length of the right and left rib; 0 where there is none
    transverse: tuple[float, float]  # from the middle to the tip of the right and left transverse process

    def at(self, right: float, front: float, up: float) -> np.ndarray:
        """A point of the vertebra's own frame in the patient's."""
        return self.centre + self.axes @ (right, front, up)


@dataclass(frozen=True, eq=False)
class Trunk:
    """What makes one trunk differ from another; drawn by `sample_trunk`.

    Vertebrae are counted from the head. The first one below the last pair of ribs is L1, so that L3 is the third
    without ribs. With five lumbar vertebrae the pelvis's crests are as high as the disc between L4 and L5.
    """

    chest: Thorax  # its width, depth, fat under the skin and pose
    size: float  # of the bones; 1 is average
    vertebrae: tuple[Vertebra, ...]  # from C5 down to the last lumbar one
    sacrum: Vertebra  # its first piece, S1
    crest: float  # height of the top of the iliac crests
    hips: np.ndarray  # [2, 3]: centres of the right and left femoral head
    spongy: float  # density of the inside of a vertebra: 60 in osteoporosis, 300 when young
    cortex: float  # density of the shell of bones; 1 is average
    wear: float  # 0 to 1: osteophytes, dense joints and end plates, calcified arteries and cartilage
    belly: float  # half-depth of the abdomen in front of the body's middle
    seed: int  # of everything that is drawn beside the bones

    def vertebra(self, name: str) -> Vertebra:
        """A vertebra by its name, such as "L3" or "S1"."""
        return {v.name: v for v in (*self.vertebrae, self.sacrum)}[name]

    def between(self, first: str, last: str) -> tuple[Vertebra, ...]:
        """The vertebrae from one name to another, both included; as far as they are there."""
        names = [*SIZES]
        wanted = names[names.index(first) : names.index(last) + 1]
        return tuple(bone for bone in self.vertebrae if bone.name in wanted)

    @property
    def back(self) -> float:
        """The y of the muscles' hind surface, where the fat under the skin begins."""
        return -self.chest.depth - 17


def sample_trunk(rng: np.random.Generator) -> Trunk:
    """Draw one trunk: an adult of any build who lies on the scanner's table, arms not counted.

    One in twelve has a lumbar vertebra too few or too many, one in ten a spine that is clearly curved sideways.

    Example:
        >>> trunk = sample_trunk(np.random.default_rng(0))
        >>> [bone.name for bone in trunk.vertebrae[-3:]]
        ['L3', 'L4', 'L5']
        >>> bool(25 < np.linalg.norm(trunk.vertebra("L2").centre - trunk.vertebra("L3").centre) < 45)
        True

    Seen in notebook 02 through the phantom spines.
    """
    chest = replace(sample_thorax(rng), turn=tuple(rng.normal(0, (3.0, 2.0, 4.0))))
    size = float(np.clip(rng.normal(1, 0.07), 0.84, 1.18))
    wear = rng.beta(1.3, 1.8)
    last = rng.choice([4, 5, 6], p=[0.04, 0.92, 0.04])
    slope = np.radians(np.clip(rng.normal(38, 9), 15, 60))
    vertebrae, sacrum = _stack(rng, chest, size, wear, last, slope)
    # With one vertebra too many or too few the pelvis may stay with the sacrum or with the numbers.
    level = len(vertebrae) - 1.5 + rng.uniform(*{4: (0, 0.8), 5: (0, 0), 6: (-1, 0)}[int(last)])
    heights = [v.centre[2] for v in (*vertebrae, sacrum)]
    crest = float(np.interp(level, range(len(heights)), heights) + np.clip(rng.normal(2, 7), -15, 15))
    reach = 85 * size * rng.normal(1, 0.04)
    ahead = sacrum.centre[1] + 38 * size + rng.normal(0, 6)
    hips = np.array([[side * reach, ahead, crest - 128 * size * rng.normal(1, 0.03)] for side in (1, -1)])
    return Trunk(
        chest=chest,
        size=size,
        vertebrae=vertebrae,
        sacrum=sacrum,
        crest=crest,
        hips=hips,
        spongy=float(np.clip(rng.normal(210 - 110 * wear, 40), 50, 320)),
        cortex=float(np.clip(rng.normal(1.05 - 0.15 * wear, 0.14), 0.65, 1.5)),
        wear=wear,
        belly=chest.depth * rng.normal(0.98, 0.1) + 0.7 * chest.fat,
        seed=int(rng.integers(2**31)),
    )


def _stack(rng, chest, size, wear, last, slope):
    """Put the vertebrae on one another, from the sacrum upwards."""
    names = [name for name in SIZES if name[0] != "L" or int(name[1:]) <= last]
    sizes = np.array([SIZES[name] for name in names]) * size
    sizes[:, 0] *= rng.normal(1, 0.035) * rng.normal(1, 0.02, len(names))
    sizes[:, 1] *= np.clip(rng.normal(1 - 0.3 * wear, 0.12), 0.4, 1.3) * np.clip(
        rng.normal(1, 0.13, len(names)), 0.3, 1.4
    )
    sizes[:, 2:] *= rng.normal(1, 0.04)
    if rng.random() < 0.15 + 0.2 * wear:  # a disc that is worn away
        sizes[rng.integers(11, len(names)), 1] *= rng.uniform(0.2, 0.5)
    if rng.random() < 0.12 * (0.5 + wear):  # a body that has collapsed
        sizes[rng.integers(8, len(names)), 0] *= rng.uniform(0.55, 0.85)

    known = [names.index(name) for name in LEANS if name in names]
    share = np.interp(range(len(names)), known, [LEANS[names[i]] for i in known])
    share = np.where(share > 0, share, share * rng.uniform(0.6, 1.2))
    forward = share * slope + rng.normal(0, 0.02, len(names))
    bend = np.radians(rng.uniform(7, 16) if rng.random() < 0.1 else abs(rng.normal(0, 2.0)))
    along = np.arange(len(names)) / len(names) * rng.uniform(1.0, 1.8) + rng.uniform(0, 1)
    sideways = bend * np.sin(2 * np.pi * along)
    frames = [_axes(f, s, 0.8 * s) for f, s in zip(forward, sideways, strict=True)]

    base = _axes(slope, 0.3 * sideways[-1], 0.0)
    height = 30.0 * size
    centre = np.zeros(3)
    tops = [base[:, 2] * height / 2]  # from the sacrum upwards
    for row, axes in zip(sizes[::-1], frames[::-1], strict=True):
        pitch = tops[-1] + (axes[:, 2] + 0.3 * (base[:, 2] - axes[:, 2])) * row[1]
        tops.append(pitch + axes[:, 2] * row[0])
        base = axes
    centres = [top - axes[:, 2] * row[0] / 2 for top, axes, row in zip(tops[:0:-1], frames, sizes, strict=True)]
    third = names.index("L3")
    centre = centres[third].copy()
    centre[:2] += -np.array([rng.normal(0, 2), 70 * size - chest.depth - 17])
    ribs, transverse = _processes(rng, names, size)
    vertebrae = tuple(
        Vertebra(name, at - centre, axes, *row, rib, wing)
        for name, at, axes, row, rib, wing in zip(names, centres, frames, sizes, ribs, transverse, strict=True)
    )
    tilt = _axes(slope, 0.3 * sideways[-1], 0.0)
    width, depth = sizes[-1, 2:]
    return vertebrae, Vertebra("S1", -centre, tilt, height, 1.0, width, depth * 0.9, (0.0, 0.0), (0.0, 0.0))


def _axes(forward, sideways, turn):
    """The frame of a vertebra that leans forward and to the right and turns about its own length."""
    up = np.array([np.sin(sideways), np.sin(forward), np.sqrt(1 - np.sin(sideways) ** 2 - np.sin(forward) ** 2)])
    right = np.array([np.cos(turn), np.sin(turn), 0.0])
    right -= up * (right @ up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(up, right), up], axis=1)


def _processes(rng, names, size):
    """Lengths of ribs and of transverse processes, right and left."""
    last = np.clip(rng.normal(95, 30), 20, 145) if rng.random() > 0.06 else rng.uniform(20, 40)
    ribs, wings = [], []
    widest = {"L1": 36, "L2": 41, "L3": 46, "L4": 43, "L5": 46, "L6": 47} | {"T12": 22, "T11": 25}
    for i, name in enumerate(names):
        pair = {"T11": rng.uniform(150, 230), "T12": last}.get(name, 350.0) * rng.normal(1, 0.05, 2) * size
        ribs.append(tuple(pair) if name[0] == "T" else (0.0, 0.0))
        wings.append(
            tuple(widest.get(name, 38 - 0.8 * min(i, 13) - 10 * (name[0] == "C")) * size * rng.normal(1, 0.06, 2))
        )
    return ribs, wings
