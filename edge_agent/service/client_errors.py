"""A request that is no HTTP, or that ends in the middle: its client's doing, and no traceback in the log."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError


def quiet() -> None:
    """Have aiohttp's servers of this process say no more of clients' mistakes than they are worth."""
    logger = logging.getLogger("aiohttp.server")
    if not any(isinstance(known, ClientErrors) for known in logger.filters):
        logger.addFilter(ClientErrors())


class ClientErrors(logging.Filter):
    """For the logger of aiohttp's server, which tells such mistakes as its own unhandled exceptions.

    Whoever reaches the port could fill the log with them: they become one line, of level DEBUG.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """False when the record is a client's mistake and DEBUG is not asked for."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionResetError):
            return True
        record.msg, record.args = "%s: %s", (record.getMessage(), " ".join(str(error).split()))
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
