"""The files of pages in production: named by their content, compressed when they are collected."""

from typing import Any

import brotli
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

# The best takes half a minute at each build, for files that are hardly smaller.
_BROTLI_QUALITY = 5


class _QuickCompressor(Compressor):
    @staticmethod
    def compress_brotli(data: bytes) -> bytes:
        return bytes(brotli.compress(data, quality=_BROTLI_QUALITY))


class CompressedStorage(CompressedManifestStaticFilesStorage):
    """WhiteNoise's, with Brotli at a quality that can be waited for."""

    def create_compressor(self, **kwargs: Any) -> Compressor:
        return _QuickCompressor(**kwargs)
