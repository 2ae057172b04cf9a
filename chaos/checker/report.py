"""Figures, and what is wrong, named so that it can be looked up."""

from collections import defaultdict
from collections.abc import Iterable

_SHOWN = 5


class Report:
    def __init__(self) -> None:
        self.figures: list[tuple[str, str]] = []
        self._wrong: defaultdict[str, list[str]] = defaultdict(list)

    def figure(self, name: str, value: object) -> None:
        self.figures.append((name, f"{value:,}" if isinstance(value, int) else str(value)))

    def check(self, name: str, wrong: Iterable[str]) -> None:
        """A figure that has to be 0; each of ``wrong`` names one violation."""
        found = list(wrong)
        self.figure(name, len(found))
        if found:
            self._wrong[name] += found

    def fail(self, name: str, sentence: str) -> None:
        self._wrong[name].append(sentence)

    @property
    def is_clean(self) -> bool:
        return not self._wrong

    def list_violations(self) -> list[str]:
        return [f"{name}: {what}" for name, found in self._wrong.items() for what in found]

    def render(self) -> str:
        width = max((len(name) for name, _ in self.figures), default=0)
        lines = [f"  {name:<{width}}  {value:>10}" for name, value in self.figures]
        for name, found in self._wrong.items():
            lines += ["", f"VIOLATED: {name}"]
            lines += [f"  {what}" for what in found[:_SHOWN]]
            if len(found) > _SHOWN:
                lines.append(f"  and {len(found) - _SHOWN} more")
        lines += ["", "All holds." if self.is_clean else "NOT EVERYTHING HOLDS."]
        return "\n".join(lines)
