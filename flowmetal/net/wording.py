"""Errors of aiohttp and of the system in words of our own: theirs may hold a URL, headers, or what a server wrote."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from flowmetal.net.exchange import Exchange
from flowmetal.net.faults import RequestFault


def fault_of(error: Exception, exchange: Exchange) -> RequestFault:
    """What happened to a request."""
    if isinstance(error, RequestFault):
        return error
    place, wire = exchange.place, exchange.wire
    if wire is None:
        return RequestFault(_unreached(error, place), kind="timeout" if isinstance(error, TimeoutError) else "effect")
    if wire.has_flooded:
        most = exchange.request.max_head_bytes
        return RequestFault(
            f"{place} sends more than {most:,} bytes of headers, or talks on and says nothing",
            kind="limit",
            may_have_run=True,
        )
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return RequestFault(f"{place} sent what is not HTTP, or too many headers", may_have_run=True)
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        return RequestFault(
            f"{place} closed the connection before its answer was complete: the request may have been carried out",
            may_have_run=True,
        )
    return RequestFault(f"the request to {place} failed ({type(error).__name__})", may_have_run=True)


def reason_of(error: OSError) -> str:
    """The system's own words for an error."""
    if isinstance(error, socket.gaierror):
        words = error.strerror or "no answer"
    else:
        words = os.strerror(error.errno) if error.errno else "no connection"
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def _unreached(error: Exception, place: str) -> str:
    if isinstance(error, TimeoutError):
        return f"cannot reach {place}: no connection was made in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
        why = inner.verify_message if isinstance(inner, ssl.SSLCertVerificationError) else "it is not valid"
        return (
            f"cannot trust {place}: its certificate: {why}; to trust an authority of your own, name its file in "
            "flowmetal's environment variable SSL_CERT_FILE"
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"cannot speak TLS with {place}: does it speak https on this port?"
    if isinstance(error, OSError):
        hint = "; does a server run there?" if error.errno == errno.ECONNREFUSED else ""
        return f"cannot reach {place}: {reason_of(error)}{hint}"
    return f"cannot reach {place} ({type(error).__name__})"
