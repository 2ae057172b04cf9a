"""The environment variables Autores reads: one table, typed, with every problem collected.

``settings.py`` takes its values from here; ``checks.py`` turns the problems into Django system
checks, so that a wrong deployment says everything that is wrong at once, by variable.
Pure: no Django, no network. Values come from the process environment, then from ``.env``;
``NAME_FILE`` may name a file that holds the value, as Docker and Kubernetes secrets do.
"""

from autores.env.loading import Environment, Problem, Typo, load, load_own
from autores.env.table import VARIABLES
from autores.env.variable import Variable

__all__ = ["VARIABLES", "Environment", "Problem", "Typo", "Variable", "load", "load_own"]
