"""Compiles ``_fastbson.c``, which encodes what ingest stores in a quarter of the driver's time.

    python -m autores.mongo.accelerator [--if-possible]

Nothing needs it: where it is not there, ``autores.mongo.documents`` has PyMongo do the same.
Compile it for each Python that Autores runs on; remove ``autores/mongo/_fastbson.*.so`` to do
without again.
"""

import argparse
import sys
import sysconfig
import tempfile
from pathlib import Path

HEADERS = Path(sysconfig.get_path("include"), "Python.h")
_SOURCE = Path(__file__).with_name("_fastbson.c")
_MODULE = "autores.mongo._fastbson"
_ROOT = _SOURCE.parents[2]


class NotCompiledError(Exception):
    """There is no compiler, or it does not take the source; the text says which."""


def compile_accelerator(root: Path = _ROOT) -> Path:
    """The path of the module, which is written into ``root``/autores/mongo.

    Raises NotCompiledError.
    """
    # Here, as it takes a while, and who only asks for help does not need it.
    try:
        from setuptools import Distribution, Extension
        from setuptools.errors import BaseError, CCompilerError
    except ImportError as error:
        raise NotCompiledError(
            f"setuptools is missing ({error}): pip install setuptools."
        ) from error
    if not HEADERS.exists():
        raise NotCompiledError(
            f"Python's headers are missing ({HEADERS}): on Debian, apt-get install python3-dev."
        )
    extension = Extension(_MODULE, [str(_SOURCE)])
    with tempfile.TemporaryDirectory(prefix="autores-accelerator-") as objects:
        command = Distribution({"ext_modules": [extension]}).get_command_obj("build_ext")
        command.build_lib, command.build_temp, command.force = str(root), objects, True
        try:
            command.ensure_finalized()
            command.run()
        except (BaseError, CCompilerError, OSError) as error:
            raise NotCompiledError(f"The compiler failed: {error}.") from error
    return root / command.get_ext_filename(_MODULE)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m autores.mongo.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--if-possible", action="store_true", help="it is no error when there is no compiler"
    )
    options = parser.parse_args()
    try:
        path = compile_accelerator()
    except NotCompiledError as error:
        said = f"{error} Autores works without, and stores mentions a little slower."
        if not options.if_possible:
            sys.exit(said)
        sys.stdout.write(f"{said}\n")
    else:
        sys.stdout.write(f"Compiled {path.name}.\n")


if __name__ == "__main__":
    main()
