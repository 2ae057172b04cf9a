"""What is known of a variable."""

from dataclasses import dataclass
from typing import Any

from autores.env.values import (
    Parser,
)


@dataclass(frozen=True)
class Variable:
    """One setting: its name, how its text is read, its default, and a line for the operator."""

    name: str
    parse: Parser
    default: Any
    help: str
    group: str
    is_secret: bool = False
    is_required_in_production: bool = False
