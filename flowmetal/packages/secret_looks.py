"""Text that looks like a secret: before it is published is the last moment at which that can be said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

_LOOKS: Final = {
    "a private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "an access key of AWS": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(rb"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{60})"),
    "a token of GitLab": re.compile(rb"\bglpat-[0-9A-Za-z_-]{20}"),
    "a token of Slack": re.compile(rb"\bxox[abeoprs]-[0-9A-Za-z-]{10}"),
    "a key of Stripe": re.compile(rb"\b[rs]k_live_[0-9A-Za-z]{16}"),
    "a key of Google": re.compile(rb"\bAIza[0-9A-Za-z_-]{35}"),
    "a JSON web token": re.compile(rb"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10}"),
    "a password in a URL": re.compile(rb"\b[a-z][a-z0-9+]{1,20}://[^\s/:@\"']{1,80}:[^\s/:@\"'{}$]{3,80}@"),
    "a password": re.compile(
        rb"(?i)\b(?:password|passwd|secret|api_?key|token)[\"']?\s{0,3}[:=]\s{0,3}[\"'][^\"'\s{}$]{12,200}[\"']"
    ),
}


def secret_looks(files: Mapping[str, bytes]) -> Iterator[tuple[str, int, str]]:
    """Path, line and what it looks like, of all in ``files`` that could be a secret."""
    for path in sorted(files):
        for what, look in _LOOKS.items():
            for found in look.finditer(files[path]):
                yield path, files[path].count(b"\n", 0, found.start()) + 1, what
