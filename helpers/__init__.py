"""The small package behind the course's notebooks.

Importing any part of it first prepares the process, because some switches act only before Paddle's first product.
"""

from helpers import runtime

runtime.prepare_process()
