"""Which options of ``migrate_from_mysql`` go together, and whether its files can be written.

Said before anything is read: an import that ran for an hour should not fail at its last line.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

_FILES = ("report", "html", "differences_file", "rejects_file", "ambiguous_file")
_REPORT = frozenset({"report", "html"})
_COMPARISON = _REPORT | {"differences_file", "sample", "window"}
# What each of these takes, beside the options of every run: --source, --quiet and --json.
_TAKEN = {
    "verify_only": _COMPARISON,
    "rollback": _REPORT | {"dry_run"},
    "export_to_mysql": _REPORT | {"dry_run", "insert_again"},
    "check_seal": frozenset(),
    "handover": frozenset({"window"}),
    "declare_old_poller_stopped": frozenset({"dry_run"}),
}
_CHOOSABLE = (
    *("dry_run", "chunk_size", "workers", "max_rejects", "retry_rejects"),
    *("account", "unattributed", "attribute_by", "reattribute"),
    *("follow", "until_drained", "marker", "start_over", "server_id", "delta"),
    *("accept_deletions", "insert_again"),
    *("sample", "processes", "window", *_FILES),
)


def check_combination(options: Mapping[str, Any]) -> None:
    """Refuse what would be ignored. Raises CommandError naming both options."""
    mode = next((name for name in _TAKEN if options.get(name)), None)
    if mode is not None:
        taken = _TAKEN[mode] | ({"processes"} if mode == "verify_only" else frozenset())
        _refuse(options, set(_CHOOSABLE) - taken, f"means nothing with {_spell(mode)}")
    elif options["dry_run"]:
        why = "is about the comparison, which a rehearsal does not make"
        _refuse(options, (_COMPARISON | {"processes"}) - _REPORT, why)
    elif options["follow"] and not (options["until_drained"] or options["marker"]):
        why = "is about the comparison, which --follow makes only with --until-drained or --marker"
        _refuse(options, _COMPARISON | {"processes"}, why)
    if options["insert_again"] and not options["export_to_mysql"]:
        raise CommandError("--insert-again belongs to --export-to-mysql.")
    if options["ambiguous_file"] and not options["attribute_by"]:
        raise CommandError("--ambiguous-file belongs to --attribute-by.")


def check_files(options: Mapping[str, Any]) -> None:
    """See that every file can be written, and that no two are one. Raises CommandError."""
    seen: dict[Path, str] = {}
    for name in _FILES:
        if not options[name]:
            continue
        path = Path(options[name])
        other = seen.setdefault(path.absolute(), name)
        if other != name:
            raise CommandError(f"{_spell(other)} and {_spell(name)} name the same file: {path}.")
        existed = path.exists()
        try:
            if path.is_file() and not _is_of_its_kind(path, name):
                raise CommandError(
                    f"{path} ({_spell(name)}) exists, and is no earlier file of this kind: name "
                    "another one. Nothing was done."
                )
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            if not existed:
                path.unlink()
        except OSError as error:
            raise CommandError(
                f"{path} ({_spell(name)}) cannot be written: {error.strerror}. Nothing was done."
            ) from None


def _is_of_its_kind(path: Path, name: str) -> bool:
    """Whether it is empty, or begins as what is written there: only such a file is replaced."""
    with path.open("rb") as file:
        begin = file.read(1)
    return begin in (b"", b"<" if name == "html" else b"{")


def _refuse(options: Mapping[str, Any], names: set[str] | frozenset[str], why: str) -> None:
    given = [name for name in _CHOOSABLE if name in names and _is_given(options[name])]
    if given:
        raise CommandError(f"{_spell(given[0])} {why}: leave it away.")


def _is_given(value: Any) -> bool:
    # --max-rejects 0 and --workers 0 are given.
    return value is not None and value is not False and value != ""


def _spell(name: str) -> str:
    return "--" + name.replace("_", "-")
