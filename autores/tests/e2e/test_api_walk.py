"""The curl walk of docs/api.md, run as it is printed, and answered as it is printed."""

import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from autores.sandbox.server import RunningSandbox
from autores.tests.cast import PASSWORD, create_person
from autores.tests.e2e.conftest import StartAutores
from autores.tests.e2e.processes import ROOT
from autores.tests.programs import require_program

DOCUMENT = ROOT / "docs" / "api.md"
FENCE = "```console walk"
RUN_SECONDS = 180
_END_MARK = "@@end-of-step"


@dataclass
class Step:
    """One command of the walk, and the lines that are printed below it."""

    line_number: int
    command: str
    printed: list[str] = field(default_factory=list)

    @property
    def shown(self) -> str:
        return f"docs/api.md:{self.line_number}: {self.command}"


@dataclass(frozen=True)
class Outcome:
    step: Step
    exit_code: int
    output: str


def read_steps(document: Path) -> list[Step]:
    steps: list[Step] = []
    is_inside = False
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```"):
            is_inside = line.strip() == FENCE
        elif is_inside and line.startswith("$ "):
            steps.append(Step(number, line[2:]))
        elif is_inside and line.startswith("> "):
            steps[-1].command += f"\n{line[2:]}"
        elif is_inside and line.strip():
            steps[-1].printed.append(line)
    return steps


def run_steps(steps: list[Step], *, environ: dict[str, str]) -> list[Outcome]:
    """Run all in one shell, so that its variables and functions last, as in a terminal."""
    script = ["set -o pipefail"]
    for step in steps:
        script += [step.command, f"printf '\\n{_END_MARK} %d\\n' \"$?\""]
    bash = require_program("bash", remedy="the walk of docs/api.md is written for it.")
    finished = subprocess.run(
        [bash, "-c", "\n".join(script)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    parts = re.split(rf"\n{_END_MARK} (\d+)\n", finished.stdout)
    outputs, codes = parts[0:-1:2], parts[1::2]
    assert len(codes) == len(steps), finished.stdout
    return [
        Outcome(step, int(code), output.strip())
        for step, code, output in zip(steps, codes, outputs, strict=True)
    ]


def matches(printed: list[str], output: str) -> bool:
    """Whether the answer reads as printed; an ellipsis stands for anything."""
    shown = " ".join(line.strip() for line in printed)
    given = json.dumps(json.loads(output), ensure_ascii=False)
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.fullmatch(pattern, given, flags=re.DOTALL) is not None


def test_walk_of_the_docs_works_when_it_is_run_as_printed(
    start_autores: StartAutores, sandbox: RunningSandbox, child_environ: dict[str, str]
) -> None:
    require_program("curl", remedy="install curl (Debian: apt-get install curl).")
    steps = read_steps(DOCUMENT)
    # Without it curl calls every answer a success, and this test could not fail.
    assert any("--fail-with-body" in step.command for step in steps)
    called = " ".join(step.command for step in steps)
    for path in (
        *("auth/token", "twitter/authorize", "auth/refresh", "fetch-new", "/messages/?"),
        *("generate-response", "/reply", "/dm-reply", "-X PATCH", "-X DELETE"),
    ):
        assert path in called, f"the walk does not show {path}"

    create_person("ana")
    autores = start_autores("web", "worker")
    outcomes = run_steps(
        steps,
        environ={
            **child_environ,
            "DEMO_URL": autores.web_url,
            "DEMO_SANDBOX_URL": sandbox.url,
            "DEMO_USERNAME": "ana",
            "DEMO_PASSWORD": PASSWORD,
        },
    )

    for outcome in outcomes:
        assert outcome.exit_code == 0, f"{outcome.step.shown}\n{outcome.output}"
        if outcome.step.printed:
            assert matches(outcome.step.printed, outcome.output), (
                f"{outcome.step.shown}\nis answered with\n{outcome.output}\n"
                f"not as printed\n{' '.join(outcome.step.printed)}"
            )
    (reply,) = sandbox.control.list_posts(author="walkthrough")
    assert reply["text"].startswith("@lena_h Yes, from nine to six.")
    assert [dm["text"] for dm in sandbox.control.list_dms()] == ["See you on Sunday!"]
