"""Reads one photo from disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from edge_agent.contract.errors import ConfigError
from edge_agent.vision.families import Picture


def read_photo(path: Path) -> Picture:
    """The photo at `path` in BGR [h, w, 3], turned as its EXIF says. ConfigError when that is no photo."""
    import cv2

    try:
        found = cv2.imdecode(np.frombuffer(_bytes(path), np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        found = None
    if found is None:
        raise ConfigError(f"{path} is no photo that can be read", hint="give a JPEG, PNG or WebP file")
    return np.asarray(found, np.uint8)


def digest_of(path: Path) -> str:
    """What the file is known by: another one when its content is another."""
    return hashlib.sha256(_bytes(path)).hexdigest()[:16]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is not there", hint="check the path of the photo") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder", hint=f"give photos, e.g. {path}/*.jpg") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error
