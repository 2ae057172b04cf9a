"""A sealed report for a person: as text for a terminal, and as one page of HTML without any
other file. Pure.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from mentions.legacy.proof.seal import SEAL, is_intact, is_sealed

_MEANINGS = {
    "missing": "in MySQL, and neither in MongoDB nor refused",
    "extra": "written by an import, and no longer in MySQL",
    "differing": "the values differ, and no change here explains it",
    "conflicts": "made here, or changed on both sides since, and different",
    "rejected": "cannot be taken over",
    "skipped": "left behind on purpose",
    "deleted_here": "deleted here since the import",
    "changed_here": "changed here since the import: a person's work, or a refreshed token",
    "exported": "written back to MySQL, whose columns cut its times",
    "settled": "differed for a moment, while one side was being written",
}
_FAULTS = ("missing", "extra", "differing", "conflicts")
_COLUMNS = ("in_mysql", "in_mongodb", "compared", "equal", "created_here", *_MEANINGS)
_LISTED_IN_TEXT = 20
_OFF_IN_TEXT = 5
# All for the same reason.
_SKIPPED_IN_TEXT = 3


def render_text(report: Mapping[str, Any]) -> str:
    """The verification of a report for a terminal."""
    proof = report.get("verification") or report
    lines = [
        f"Compared with {proof['source']}: {proof['rows']} rows in {proof['seconds']:.1f} s "
        f"({proof['rows_per_second']} rows/s, {_plural(proof['processes'], 'process')})"
        + (f", a sample of {proof['sample']} a table" if proof.get("sample") else "")
    ]
    shown = [name for name in _COLUMNS if name in _COLUMNS[:4] or _sum(proof, name)]
    header = ["table", *(name.replace("_", " ") for name in shown)]
    body = [
        [name, *(str(table.get(column, 0)) for column in shown)]
        for name, table in proof["tables"].items()
    ]
    lines += ["", *_align([header, *body])]
    lines += [f"  {name} = {meaning}" for name, meaning in _MEANINGS.items() if _sum(proof, name)]
    for table_name, table in proof["tables"].items():
        for outcome, items in table["listed"].items():
            if outcome == "settled":
                continue
            lines += ["", f"{outcome.replace('_', ' ').capitalize()} in {table_name}:"]
            most = _LISTED_IN_TEXT if outcome != "skipped" else _SKIPPED_IN_TEXT
            for item in items[:most]:
                # Spelled out: an id may hold what moves a terminal's cursor.
                lines.append(f"  {item['id']!r}" + (f": {item['why']}" if item["why"] else ""))
                lines += [f"    {line}" for line in _describe_fields(item)]
            more = table[outcome] - min(len(items), most)
            lines += [f"  … and {more} more"] if more > 0 else []
    clock = proof.get("clock")
    if clock:
        lines += ["", f"Clock: {clock['sentence']}"]
        lines += [
            f"  {item['id']!r}: {item['timestamp']} is off by {item['offset_seconds']:+.0f} s"
            for item in clock["listed"][:_OFF_IN_TEXT]
        ]
        more = clock["off"] - min(len(clock["listed"]), _OFF_IN_TEXT)
        lines += [f"  … and {more} more"] if more > 0 else []
    for account in proof.get("lost_accounts", []):
        lines.append(f"Messages belong to account {account}, which is not here.")
    lines += ["", proof["verdict"]]
    if is_sealed(report):
        lines.append(f"Sealed: sha256:{report[SEAL]['digest']}")
    return "\n".join(lines)


def render_html(report: Mapping[str, Any], *, run_id: str = "") -> str:
    """The whole report as a page that needs no other file; it carries the report itself too."""
    # `<` spelled out, or a text in the report could end the script.
    data = json.dumps(report, ensure_ascii=False).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Import report {escape(run_id)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>Import report</h1>{render_fragment(report, run_id=run_id)}</main>"
        f'<script type="application/json" id="report">{data}</script></body></html>\n'
    )


def render_fragment(report: Mapping[str, Any], *, run_id: str = "") -> str:
    """The report's part of a page, for instance in the admin; its style is ``report_style()``."""
    proof = report.get("verification")
    parts = ['<div class="import-report">']
    if proof:
        parts.append(_verdict(proof))
    parts.append(_facts(report, proof, run_id=run_id))
    if report.get("tables"):
        parts.append(_load_table(report["tables"]))
    if proof:
        parts.append(_proof_table(proof))
        parts.append(_clock(proof.get("clock")))
        parts += [_findings(name, table) for name, table in proof["tables"].items()]
    elif report.get("tables"):
        is_rehearsal = report.get("is_dry_run")
        parts.append(
            "<p>A rehearsal: nothing was written.</p>"
            if is_rehearsal
            else "<p>This run was not compared row by row.</p>"
        )
        parts += [_load_details(name, table) for name, table in report["tables"].items()]
    parts.append(_undo("What was taken back", report.get("rollback"), "kept_list"))
    parts.append(_undo("What went back to MySQL", report.get("export"), "listed"))
    parts.append(_handover(report.get("handover")))
    parts.append(_remarks(report))
    parts.append("</div>")
    return "".join(parts)


def report_style() -> str:
    return _STYLE


def _verdict(proof: Mapping[str, Any]) -> str:
    kind = "good" if proof["is_proven"] else "bad"
    return f'<p class="verdict {kind}">{escape(proof["verdict"])}</p>'


def _facts(report: Mapping[str, Any], proof: Mapping[str, Any] | None, *, run_id: str) -> str:
    rows = [("Run", run_id), ("Source", str(report.get("source", "")))]
    if report.get("stopped"):
        rows.append(("Stopped", str(report["stopped"])))
    if report.get("attribution"):
        rows.append(("Messages belong to", str(report["attribution"])))
    if "seconds" in report:
        rows.append(("Loaded in", f"{report['seconds']} s, {report.get('changes', 0)} changes"))
    if proof:
        rows.append(
            (
                "Compared in",
                f"{proof['seconds']} s, {proof['rows']} rows, {proof['rows_per_second']} rows/s, "
                f"{_plural(proof['processes'], 'process')}",
            )
        )
        by_account = proof.get("messages_by_account") or {}
        if by_account:
            told = ", ".join(f"{name or 'none'}: {count}" for name, count in by_account.items())
            rows.append(("Messages by account", told))
    if is_sealed(report):
        seal = report[SEAL]
        state = "intact" if is_intact(report) else "BROKEN: the report was altered"
        rows.append(("Seal", f"{state}, sha256:{seal['digest']}, {seal['sealed_at']}"))
        if seal.get("previous"):
            rows.append(("Seal of the report before", f"sha256:{seal['previous']}"))
    else:
        rows.append(("Seal", "none"))
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in rows
        if value
    )
    return f'<div class="scroll"><table class="facts">{body}</table></div>'


def _load_table(tables: Mapping[str, Mapping[str, Any]]) -> str:
    columns = [
        name
        for name in next(iter(tables.values()))
        if all(isinstance(table.get(name), int) for table in tables.values())
    ]
    body = [[name, *(str(table[column]) for column in columns)] for name, table in tables.items()]
    return "<h2>What was loaded</h2>" + _table(["table", *columns], body)


def _load_details(name: str, table: Mapping[str, Any]) -> str:
    """What the load left open, where no comparison lists it with more."""
    parts = []
    rejects = [[item["id"], "; ".join(item["reasons"])] for item in table.get("reject_list", [])]
    if rejects:
        title = f"<h2>{escape(name)}: {table['rejected']} rejected</h2>"
        parts.append(title + _table(["id", "why"], rejects))
    conflicts = [
        [item["id"] if index == 0 else "", field, found["legacy"], found["here"], item["reason"]]
        for item in table.get("conflict_list", [])
        for index, (field, found) in enumerate(
            (item["values"] or {"": {"legacy": "", "here": ""}}).items()
        )
    ]
    if conflicts:
        title = f"<h2>{escape(name)}: {table['conflicts']} conflicts</h2>"
        parts.append(title + _table(["id", "field", "in MySQL", "in MongoDB", "why"], conflicts))
    return "".join(parts)


def _proof_table(proof: Mapping[str, Any]) -> str:
    shown = [name for name in _COLUMNS if name in _COLUMNS[:4] or _sum(proof, name)]
    body = [
        [name, *(str(table.get(column, 0)) for column in shown)]
        for name, table in proof["tables"].items()
    ]
    meanings = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(meaning)}</dd>"
        for name, meaning in _MEANINGS.items()
        if _sum(proof, name)
    )
    return (
        "<h2>Every row, both sides</h2>"
        + _table(["table", *shown], body, bad=_FAULTS)
        + (f"<dl>{meanings}</dl>" if meanings else "")
    )


def _clock(clock: Mapping[str, Any] | None) -> str:
    if not clock:
        return ""
    kind = "bad" if clock["is_zone_wrong"] else ("warn" if clock["off"] else "good")
    body = [
        [item["id"], item["timestamp"], f"{item['offset_seconds']:+.0f} s"]
        for item in clock["listed"]
    ]
    listed = _table(["post id", "timestamp", "off by"], body) if body else ""
    more = clock["off"] - len(body)
    return (
        f'<h2>Times against post ids</h2><p class="{kind}">{escape(clock["sentence"])}</p>'
        + listed
        + (f"<p>… and {more} more</p>" if more > 0 else "")
    )


def _findings(table_name: str, table: Mapping[str, Any]) -> str:
    parts = []
    for outcome, items in table["listed"].items():
        if outcome == "settled":
            continue
        body = []
        for item in items:
            fields = item["fields"] or [{"field": "", "in_mysql": "", "in_mongodb": "", "why": ""}]
            for index, found in enumerate(fields):
                reasons = (item["why"] if index == 0 else "", found["why"])
                body.append(
                    [
                        item["id"] if index == 0 else "",
                        found["field"],
                        found["in_mysql"],
                        found["in_mongodb"],
                        "; ".join(reason for reason in reasons if reason),
                    ]
                )
        more = table[outcome] - len(items)
        parts.append(
            f"<h2>{escape(table_name)}: {table[outcome]} {escape(outcome.replace('_', ' '))}</h2>"
            + _table(["id", "field", "in MySQL", "in MongoDB", "why"], body)
            + (f"<p>… and {more} more</p>" if more > 0 else "")
        )
    return "".join(parts)


def _undo(title: str, undo: Mapping[str, Any] | None, listed: str) -> str:
    if not undo:
        return ""
    tables = undo["tables"]
    columns = [
        name for name, value in next(iter(tables.values())).items() if isinstance(value, int)
    ]
    counts = [[name, *(str(table[column]) for column in columns)] for name, table in tables.items()]
    body = [
        [name, item["id"], item["reason"]]
        for name, table in tables.items()
        for item in table[listed]
    ]
    parts = [f"<h2>{escape(title)}</h2>"]
    if undo.get("run"):
        parts.append(f"<p>Run {escape(undo['run'])}</p>")
    parts.append(_table(["table", *columns], counts))
    if fenced := undo.get("fenced_accounts"):
        parts.append(f"<p>{fenced} accounts are fenced: their tokens are not refreshed here.</p>")
    if body:
        parts.append("<h2>Left as it was</h2>" + _table(["table", "id", "why"], body))
    if (deleted := undo.get("deleted_here") or {}).get("count"):
        parts.append(
            f"<h2>Deleted here, and still in MySQL ({deleted['count']})</h2>"
            + _table(["id"], [[key] for key in deleted["listed"]])
        )
    return "".join(parts)


def _handover(handover: Mapping[str, Any] | None) -> str:
    if not handover:
        return ""
    body = [
        [item["account"], item["x_user"], item["state"], item["expires_at"] or "", item["sentence"]]
        for item in handover["accounts"]
    ]
    return f"<h2>Hand-over of the accounts</h2><p>{escape(handover['sentence'])}</p>" + _table(
        ["account", "X user", "state", "token expires", "what to do"], body
    )


def _remarks(report: Mapping[str, Any]) -> str:
    lines = [*report.get("warnings", [])]
    lines += [f"Schema: {difference}" for difference in report.get("differences", [])]
    for name, table in (report.get("tables") or {}).items():
        lines += [f"{name}: {count} x {note}" for note, count in table.get("notes", {}).items()]
    if not lines:
        return ""
    return (
        "<h2>Remarks</h2><ul>"
        + "".join(f"<li>{escape(str(line))}</li>" for line in lines)
        + "</ul>"
    )


def _table(header: Sequence[str], body: Iterable[Sequence[str]], *, bad: Sequence[str] = ()) -> str:
    head = "".join(f"<th scope='col'>{escape(name.replace('_', ' '))}</th>" for name in header)
    rows = []
    for row in body:
        cells = []
        for name, cell in zip(header, row, strict=True):
            mark = ' class="bad"' if name in bad and cell != "0" else ""
            shown = "NULL" if cell is None else str(cell)
            cells.append(f"<td{mark}>{escape(shown)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _describe_fields(item: Mapping[str, Any]) -> list[str]:
    return [
        f"{found['field']}: MySQL {found['in_mysql']}"
        + (f", MongoDB {found['in_mongodb']}" if found["in_mongodb"] else "")
        + (f" ({found['why']})" if found["why"] else "")
        for found in item["fields"]
    ]


def _sum(proof: Mapping[str, Any], name: str) -> int:
    return sum(table.get(name, 0) for table in proof["tables"].values())


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}es"


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


_STYLE = """
main{max-width:72rem;margin:0 auto;padding:1.5rem;font:15px/1.5 system-ui,sans-serif;color:#1f2937}
h1{font-size:1.4rem}
.import-report h2{font-size:1.05rem;font-weight:600;margin:1.6rem 0 .5rem}
.import-report .scroll{overflow-x:auto}
.import-report table{border-collapse:collapse;font-size:.85rem;width:100%}
.import-report th,.import-report td{text-align:left;padding:.35rem .7rem;
border-bottom:1px solid rgba(128,128,128,.3);vertical-align:top;overflow-wrap:anywhere}
.import-report thead th{white-space:nowrap;font-weight:600;overflow-wrap:normal}
.import-report .facts th{width:12rem;white-space:nowrap;font-weight:500}
.import-report .verdict{padding:.8rem 1rem;border-radius:.4rem;font-weight:600;margin-bottom:.8rem}
.import-report .verdict.good{background:#dcfce7;color:#14532d}
.import-report .verdict.bad{background:#fee2e2;color:#7f1d1d}
.import-report td.bad,.import-report p.bad{color:#b91c1c;font-weight:600}
.import-report p.warn{color:#a16207;font-weight:600}
.import-report dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;
font-size:.85rem;margin:.6rem 0}
.import-report dt{font-weight:600}.import-report dd{margin:0}
.import-report ul{padding-left:1.2rem;list-style:disc;font-size:.85rem}
"""
