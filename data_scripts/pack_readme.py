"""README.txt of an offline bundle: how to start from it without a network, and how to get what is not in it.

Used by `python -m data_scripts.pack`.
"""

from collections.abc import Mapping, Sequence
from textwrap import wrap

from data_scripts.sources import SOURCES

HEAD = """DEEP LEARNING FOR MEDICAL IMAGES, HANDS ON: {title}

For teaching; not for clinical use.

WHAT IS HERE

{contents}

{for_whom}
Copy this folder to a disk with {room} free: the course writes beside itself, and a stick is slow.
"""
SHELL = """{name}{first}, in a terminal in the copy:

  {sums}
  cd course
  python{python} -m venv .venv
  .venv/bin/python -m pip install {offline}--require-hashes -r requirements/cpu.txt
  .venv/bin/python -m pip install {offline}--no-deps -e .
{data}  .venv/bin/python -m jupyter lab notebooks
"""
DATA = '  export COURSE_DATA="$PWD/../data"\n'
POWERSHELL = """Windows{first}, in PowerShell in the copy:

  cd course
  py -{python} -m venv .venv
  .venv\\Scripts\\python -m pip install {offline}--require-hashes -r requirements\\cpu.txt
  .venv\\Scripts\\python -m pip install {offline}--no-deps -e .
  .venv\\Scripts\\python -m data_scripts.pack --out .. --verify
{data}  .venv\\Scripts\\python -m jupyter lab notebooks
"""
POWERSHELL_DATA = '  $env:COURSE_DATA = "$PWD\\..\\data"\n'
AFTER = """
On another day, two lines are enough: cd course, and the last one{again}.

Not `make` here: its targets set .venv up anew, from the network. What `make run` does, every notebook as a page in
build/, and a table of results at the end, does in the same terminal:

  .venv/bin/python -m tools.run_notebooks        (Windows: .venv\\Scripts\\python)
"""
WITHOUT_WHEELS = "The Python packages are not here (--wheels none): pip gets them from the network, some 450 MB.\n"
FIRST = " (no wheels yet: see OTHER SYSTEMS)"
OTHER_WHEELS = """
OTHER SYSTEMS

For another system or another Python, 3.11 to 3.13, the wheels are other ones. On such a machine with a network, in
course/, this adds them; then all that stands above works there, too:

  python -m pip download --only-binary :all: --require-hashes --dest ../wheels -r requirements/cpu.txt
"""
ABSENT = """
DATA THAT ARE NOT HERE

Where the notebooks find no data, they work on phantoms, synthetic patients. Everybody may get the real ones from
their source: with a network, in course/, after the first lines above. On Windows, .venv/bin is .venv\\Scripts.
"""
THEN = f"""
Then, before JupyterLab is started:

{DATA}
On Windows:

{POWERSHELL_DATA}"""


def write(
    wheels: int, systems: Sequence[tuple[str, str]], packed: Mapping[str, str], absent: Mapping[str, str]
) -> bytes:
    """Write it.

    Args:
        wheels: How many packages are in the bundle.
        systems: For which Python and system they are.
        packed: Each data set in the bundle: what of it.
        absent: Each that is not: because of what.

    Returns:
        The text as bytes.

    Example:
        >>> print(write(0, [], {}, {"l3": "not among the data"}).decode().splitlines()[0])
        DEEP LEARNING FOR MEDICAL IMAGES, HANDS ON: THE COURSE IN A FOLDER
    """
    contents = ["  course/       notebooks, and all that they import; its README.md tells about them"]
    pairs = ", or ".join(f"Python {python} on {system}" for python, system in systems)
    contents += [f"  wheels/       {wheels} Python packages, for {pairs}"] if wheels else []
    for name, what in packed.items():
        contents += [f"  data/{name}/  {what}: original files of {SOURCES[name].title}"]
        contents += [f"{'':16}{SOURCES[name].licence}", f"{'':16}The terms stand in LICENCE.txt beside them."]
    contents += ["  SHA256SUMS    the checksum of every file"]
    for_whom = "You need Python 3.11, 3.12 or 3.13.\n" + WITHOUT_WHEELS
    if wheels:
        for_whom = f"You need {pairs}, and no network.\n"
    text = HEAD.format(
        title="THE COURSE WITHOUT A NETWORK" if wheels else "THE COURSE IN A FOLDER",
        contents="\n".join(contents),
        for_whom=for_whom,
        room="3 GB" if not packed else "3 GB, and room for the data,",
    )
    offline = "--no-index --find-links ../wheels " if wheels else ""
    python_of = {system: python for python, system in reversed(systems)}
    first = {system: FIRST if wheels and system not in python_of else "" for system in ("Linux", "macOS", "Windows")}
    usual = systems[0][0] if systems else "3.12"
    for name, sums in (("Linux", "sha256sum -c --quiet SHA256SUMS"), ("macOS", "shasum -a 256 -c SHA256SUMS")):
        data = DATA if packed else ""
        text += "\n" + SHELL.format(
            name=name, first=first[name], sums=sums, python=python_of.get(name, usual), offline=offline, data=data
        )
    text += "\n" + POWERSHELL.format(
        first=first["Windows"],
        python=python_of.get("Windows", usual),
        offline=offline.replace("/", "\\"),
        data=POWERSHELL_DATA if packed else "",
    )
    text += AFTER.format(again=" with the one of COURSE_DATA" if packed else "") + (OTHER_WHEELS if wheels else "")
    text += ABSENT + ("" if packed else THEN) if absent else ""
    for name, why in absent.items():
        source = SOURCES[name]
        variant = source.variant()
        by_hand = "" if variant.files or variant.kaggle else " --from FILE"
        text += f"\n  {name}: {source.title}\n"
        for part in (f"It is not here because {why}.", f"It is at {variant.where}", variant.notes):
            text += "".join(f"    {line}\n" for line in wrap(part, 110, break_on_hyphens=False))
        text += f"    .venv/bin/python -m data_scripts.fetch {name} --out ../data{by_hand}\n"
    return text.encode("utf8")
