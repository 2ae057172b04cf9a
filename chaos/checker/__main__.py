"""Command line: python -m chaos.checker --sandbox URL --mongodb URL --database NAME"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from chaos.checker.coverage import check_coverage
from chaos.checker.facts import Facts, read_facts
from chaos.checker.fairness import check_fairness
from chaos.checker.report import Report
from chaos.checker.sends import check_sends


def check(facts: Facts) -> Report:
    report = Report()
    for key, value in facts.promised.run.items():
        if key != "_id":
            report.figure(f"run: {key}", value)
    for what, times in sorted(facts.promised.injected.items()):
        report.figure(what, times)
    faults = Counter(call["fault"] for call in facts.x.calls if call["fault"])
    report.figure("calls to X", len(facts.x.calls))
    for fault, times in faults.most_common():
        report.figure(f"calls hit by {fault}", times)
    check_sends(facts, report)
    check_coverage(facts, report)
    check_fairness(facts, report)
    report.check("processes that ended by themselves", facts.promised.ended)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chaos.checker",
        description="Compare the sandbox's state with the database; exit with 1 if they disagree.",
    )
    parser.add_argument("--sandbox", required=True, help="the sandbox's address")
    parser.add_argument("--mongodb", required=True, help="MongoDB's address")
    parser.add_argument("--database", required=True, help="the database of Autores")
    parser.add_argument("--ledger", help="the database in which the run kept what was accepted")
    given = parser.parse_args(arguments)
    report = check(
        read_facts(
            sandbox_url=given.sandbox,
            mongodb_url=given.mongodb,
            database=given.database,
            ledger=given.ledger,
        )
    )
    sys.stdout.write(f"{report.render()}\n")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
