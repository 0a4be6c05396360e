"""What an HTTP effect is about to send: read from its arguments, checked, and changed when a redirect says so.

No header, query or body is ever part of a message: any of them may hold the text of a secret by then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote, quote_plus

from flowmetal import __version__
from flowmetal.actions.effect import Arguments, EffectFailure, plain, type_name
from flowmetal.actions.secrets import secret_names
from flowmetal.errors import UsageError, ValueCodecError, did_you_mean
from flowmetal.json_writing import json_text
from flowmetal.net.bodies import ENCODINGS
from flowmetal.net.urls import MAX_CHARACTERS, Url, join, parse_url
from flowmetal.permissions.hosts import METHODS
from flowmetal.values import MAX_BYTES, Wire

BODIES: Final = ("json", "text", "form")
"""Arguments that hold a body, of which one may be given."""

SECRET_PLACES: Final = ("headers", "query", *BODIES)
"""Arguments that may hold secrets."""

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 32 * 1024

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_OURS: Final = frozenset(
    ("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "te", "trailer",
     "transfer-encoding", "upgrade")
)  # fmt: skip
_CREDENTIALS: Final = frozenset(("authorization", "cookie"))
_OF_BODIES: Final = frozenset(("content-type", "content-encoding", "content-language", "content-location"))
_UNCHANGED: Final = ("GET", "HEAD")
"""Methods that change nothing at the other end, and so need no idempotency key."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is ready to be sent; ``confidential`` are the headers, in lower case, that hold secrets."""

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    confidential: frozenset[str]
    is_body_confidential: bool


def method_of(args: Arguments, method: str) -> str:
    """The method: that of the effect, or else the one that is given.

    Raises:
        EffectFailure: it is none.
    """
    given: str = (method or args["method"]).upper()
    if given not in METHODS:
        raise _wrong(
            f"`{plain(given[:40])}` is not an HTTP method{did_you_mean(given, METHODS)}: there are {', '.join(METHODS)}"
        )
    return given


def url_of(args: Arguments) -> Url:
    """The URL as it is given, without the argument ``query``.

    Raises:
        EffectFailure: it is none.
    """
    try:
        return parse_url(args["url"])
    except UsageError as error:
        raise _wrong(_with_remedy(error)) from None


def make_call(method: str, args: Arguments, revealed: Arguments, idempotency_key: str, is_saved: bool) -> Call:
    """The request of a call.

    Args:
        method: in capitals.
        args: the arguments as the flow gave them.
        revealed: the same, with the texts of secrets in ``SECRET_PLACES``.
        idempotency_key: of the action; sent unless the method changes nothing, or the flow sends one of its own.
        is_saved: whether the answer goes to a file, and is best sent as it is.

    Raises:
        EffectFailure: of kind ``error``: an argument that makes no request.
    """
    url = _with_query(url_of(args), revealed.get("query"))
    headers = dict(_headers(revealed.get("headers")))
    known = {name.lower() for name in headers}
    body, content_type = _body(revealed)
    defaults = {
        "User-Agent": f"flowmetal/{__version__}",
        "Accept": "*/*",
        "Content-Type": content_type,
        "Idempotency-Key": "" if method in _UNCHANGED else idempotency_key,
    }
    headers |= {name: value for name, value in defaults.items() if value and name.lower() not in known}
    headers["Accept-Encoding"] = "identity" if is_saved else ENCODINGS
    if body is not None and method == "HEAD":
        raise _wrong("HEAD has no body")
    given = _items(args.get("headers"), "headers")
    return Call(
        method,
        url,
        tuple(headers.items()),
        body,
        frozenset(name.lower() for name, value in given if secret_names(value)),
        any(secret_names(args.get(name)) for name in BODIES),
    )


def redirected(call: Call, status: int, location: str) -> Call:
    """The request that a redirect asks for.

    Raises:
        EffectFailure: it leads nowhere, from https to http, or would carry secrets in its body elsewhere.
    """
    try:
        url = join(call.url, location)
    except UsageError as error:
        raise EffectFailure(f"{call.url.place} redirects to where no request goes: {error.message}") from None
    if call.url.scheme == "https" and url.scheme == "http":
        raise EffectFailure(f"{call.url.place} redirects from https to http, to {url.place}: that is not followed")
    next_call = replace(call, url=url)
    if (status == 303 and call.method != "HEAD") or (status in (301, 302) and call.method == "POST"):
        next_call = replace(
            _without(next_call, _OF_BODIES | {"idempotency-key"}), method="GET", body=None, is_body_confidential=False
        )
    if url.has_origin_of(call.url):
        return next_call
    if next_call.is_body_confidential:
        raise EffectFailure(
            f"{call.url.place} redirects to {url.place}, and the body holds a secret that is not for it: send the "
            "request there yourself, if that is right"
        )
    return _without(next_call, _CREDENTIALS | next_call.confidential)


def _without(call: Call, names: frozenset[str]) -> Call:
    return replace(call, headers=tuple(pair for pair in call.headers if pair[0].lower() not in names))


# -- parts ---------------------------------------------------------------------------------------------


def _with_query(url: Url, query: Wire) -> Url:
    pairs = [f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in _fields(query, "query")]
    if not pairs:
        return url
    full = replace(url, query="&".join([url.query, *pairs] if url.query else pairs))
    if len(full.text) > MAX_CHARACTERS:
        raise _wrong(f"the URL with its query has more than {MAX_CHARACTERS:,} characters")
    return full


def _headers(wire: Wire) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    size_bytes = 0
    for name, text in _fields(wire, "headers"):
        shown, lower = plain(name[:100]), name.lower()
        if not _TOKEN.fullmatch(name):
            raise _wrong(f"`{shown}` is not the name of a header")
        if lower in _OURS or lower.startswith("proxy-"):
            raise _wrong(f"the header {shown} is not yours to set: it is made of the request, or not sent at all")
        if lower in seen:
            raise _wrong(f"the header {shown} is given twice")
        if not _VALUE.fullmatch(text):
            raise _wrong(f"the header {shown} holds a line end, or another character that no header can have")
        seen.add(lower)
        size_bytes += len(name) + len(text) + 4
        if len(seen) > MAX_HEADERS or size_bytes > MAX_HEADER_BYTES:
            raise _wrong(f"the headers are more than {MAX_HEADERS}, or of more than {MAX_HEADER_BYTES:,} bytes")
        yield name, text.strip()


def _body(args: Arguments) -> tuple[bytes | None, str]:
    given = [name for name in BODIES if args.get(name) is not None]
    if len(given) > 1:
        raise _wrong(f"`{given[0]}` and `{given[1]}` are both given, and a request has one body")
    if not given:
        return None, ""
    kind, wire = given[0], args[given[0]]
    if kind == "json":
        try:
            return json_text(wire, None, False).encode("utf-8"), "application/json"
        except ValueCodecError as error:
            raise _wrong(f"`json`: {error.message}") from None
    if kind == "form":
        text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in _fields(wire, "form"))
        content_type = "application/x-www-form-urlencoded"
    else:
        text, content_type = _text(wire, "`text`"), "text/plain; charset=utf-8"
    data = text.encode("utf-8")
    if len(data) > MAX_BYTES:
        raise _wrong(f"the body has {len(data):,} bytes; at most {MAX_BYTES:,} can be sent")
    return data, content_type


def _items(wire: Wire, where: str) -> list[tuple[str, Wire]]:
    if wire is None:
        return []
    pairs = wire["dict"]
    for name in pairs[::2]:
        if not isinstance(name, str):
            raise _wrong(f"the names in `{where}` are texts, and one is of type {type_name(name)}")
    return list(zip(pairs[::2], pairs[1::2], strict=True))


def _fields(wire: Wire, where: str) -> Iterator[tuple[str, str]]:
    """Names and texts; what is None is left out."""
    for name, value in _items(wire, where):
        if value is not None:
            yield name, _text(value, f"`{plain(name[:100])}` in `{where}`")


def _text(wire: Wire, what: str) -> str:
    if isinstance(wire, str):
        return wire
    if isinstance(wire, bool):
        return "true" if wire else "false"
    if isinstance(wire, int | float):
        return str(wire)
    if isinstance(wire, dict) and "int" in wire:
        return str(wire["int"])
    if isinstance(wire, list):
        return "".join(_text(item, f"a part of {what}") for item in wire)
    raise _wrong(f"{what} is a text, a number, a secret or a list of these, not a value of type {type_name(wire)}")


def _wrong(message: str) -> EffectFailure:
    return EffectFailure(message, kind="error")


def _with_remedy(error: UsageError) -> str:
    return f"{error.message}: {error.remedy}" if error.remedy else error.message
