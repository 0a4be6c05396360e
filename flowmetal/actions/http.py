"""``http.get`` and its like: one request to one host, and its answer as a value or in a file.

Here is only what the effects take: the rest, and the library below it, is imported when the first one is asked for.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from flowmetal.actions.effect import Effect, Parameter
from flowmetal.actions.late import http_perform, http_want
from flowmetal.values import Wire

_URL: Final = Parameter("url", "str", "http:// or https://; no secrets in it")
_METHOD: Final = Parameter("method", "str", "GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")
_ASKING: Final = (
    Parameter("headers", "dict | None", "texts by name; a list of texts and secrets is joined", None),
    Parameter("query", "dict | None", "texts by name, added to the URL; may be secrets", None),
)
_BODY: Final = (
    Parameter("json", "any", "a body: this value as JSON; its texts may be secrets", None),
    Parameter("text", "any", "a body: this text; a list of texts and secrets is joined", None),
    Parameter("form", "dict | None", "a body: the fields of a form; may be secrets", None),
)
_TAKING: Final = (
    Parameter("save_to", "str | None", "the file that the answer's body goes to", None),
    Parameter("ok_status", "list | None", "statuses of 400 or more that are no failure", None),
    Parameter("follow", "int", "how many redirects are followed, at most 5", 0),
)
_SAMPLE: Final[Wire] = {
    "struct": [
        "status", 200, "headers", {"dict": []}, "text", "", "json", None, "url", "https://example.org/", "path", None,
        "bytes", 0, "sha256", None,
    ]
}  # fmt: skip


def _effect(name: str, doc: str, method: str, *parameters: Parameter) -> Effect:
    return Effect(
        name=f"http.{name}",
        doc=doc,
        parameters=parameters,
        mode="async",
        want=partial(http_want, method),
        perform=partial(http_perform, method),
        sample=_SAMPLE,
    )


HTTP: Final = (
    _effect("get", "Asks for what is at a URL.", "GET", _URL, *_ASKING, *_TAKING),
    _effect("post", "Sends a body to a URL.", "POST", _URL, *_ASKING, *_BODY, *_TAKING),
    _effect("put", "Puts a body at a URL.", "PUT", _URL, *_ASKING, *_BODY, *_TAKING),
    _effect("patch", "Changes what is at a URL by a body.", "PATCH", _URL, *_ASKING, *_BODY, *_TAKING),
    _effect("delete", "Deletes what is at a URL.", "DELETE", _URL, *_ASKING, *_TAKING),
    _effect("request", "A request with any method.", "", _METHOD, _URL, *_ASKING, *_BODY, *_TAKING),
)
"""The effects of HTTP."""
