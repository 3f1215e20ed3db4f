"""The jobs of the course by name, each a frozen `Task` that its notebook opens and the commands run whole.

Used by every notebook and by `python -m helpers.train`.
"""

from helpers.ct_job import BY_HEART, ct, leaky_sets, probabilities, say
from helpers.jobs import Task
from helpers.l3_job import find, l3
from helpers.siim_job import outline, pneumothorax
from helpers.xray_job import xray

__all__ = [
    "BY_HEART",
    "TASKS",
    "Task",
    "ct",
    "find",
    "l3",
    "leaky_sets",
    "outline",
    "pneumothorax",
    "probabilities",
    "say",
    "xray",
]

TASKS = {"ct": ct, "l3": l3, "pneumothorax": pneumothorax, "xray": xray}
