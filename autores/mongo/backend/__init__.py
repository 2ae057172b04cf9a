"""Database backend: ``ENGINE = "autores.mongo.backend"``, django-mongodb-backend with repairs."""

import ctypes.util
from importlib import import_module


def _load_without_geometry() -> None:
    """Import django-mongodb-backend without its search for the GDAL library.

    It looks for a dozen names, twice, and each look starts a compiler and a linker: a third of a
    second in every process, for geometry fields that Autores does not have.
    """
    find_library = ctypes.util.find_library
    ctypes.util.find_library = lambda name: None
    try:
        import_module("django_mongodb_backend.base")
    finally:
        ctypes.util.find_library = find_library


_load_without_geometry()
