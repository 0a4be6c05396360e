"""Performing an HTTP effect: one request, or some more when redirects are followed, and what comes of it.

Every failure leaves through ``perform``, which knows the texts of the secrets that were sent and takes them out: a
server may write them back in its refusal, or in where it redirects to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flowmetal.actions.effect import Arguments, EffectContext, EffectFailure
from flowmetal.actions.http_download import Download, check_file
from flowmetal.actions.http_request import SECRET_PLACES, Call, make_call, method_of, redirected
from flowmetal.actions.http_response import MAX_REFUSAL_BYTES, SAVE_IT, answer, refusal
from flowmetal.actions.scrubbing import Scrub
from flowmetal.actions.secrets import reveal, secret_names, text_of
from flowmetal.errors import UsageError
from flowmetal.net.bodies import Body
from flowmetal.net.exchange import Request
from flowmetal.net.faults import RequestFault
from flowmetal.net.late import make_client
from flowmetal.permissions.addresses import address_allowed
from flowmetal.permissions.decision import Allowed, Denied, Want
from flowmetal.permissions.hosts import net_resource
from flowmetal.values import Wire

if TYPE_CHECKING:
    from flowmetal.net.client import Client

DEFAULT_SECONDS: Final = 300.0
"""How long a request may take, with its redirects and its body, when no ``timeout`` is set."""

MAX_REDIRECTS: Final = 5

_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_REFUSAL_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be done, and by what leave."""

    context: EffectContext
    path: str | None
    ok_status: frozenset[int]
    follow: int
    file_leave: Allowed | None


@dataclass(frozen=True, slots=True)
class _Known:
    """Secrets as they were when the attempt began."""

    texts: dict[str, str] = field(repr=False)

    def text(self, name: str) -> str | None:
        """The text of a secret."""
        return self.texts.get(name)


async def perform(method: str, allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    """One attempt; ``method`` is that of the effect, "" when it is an argument.

    Raises:
        EffectFailure: without the text of any secret that was used.
    """
    mask = Scrub([])
    try:
        method = method_of(args, method)
        names = secret_names([args.get(name) for name in SECRET_PLACES])
        known = _Known({name: text_of(name, context) for name in names})
        mask = Scrub(known.texts.items())
        # What is sent is what is masked, even if the secret is changed at this very moment.
        context = replace(context, services=replace(context.services, secrets=known))
        order = _Order(
            context,
            args["save_to"],
            _statuses(args["ok_status"]),
            _follow(args["follow"]),
            next((each for each in allowed if each.want.effect == "write"), None),
        )
        revealed = {name: reveal(args.get(name), allowed, context) for name in SECRET_PLACES}
        call = make_call(method, args, revealed, context.idempotency_key, order.path is not None)
        client = context.services.resources.get(make_client)
        seconds = DEFAULT_SECONDS if context.timeout_seconds is None else None
        async with client.turn(call.url), asyncio.timeout(seconds):
            return mask.wire(await _follow_through(client, call, allowed[0], order))
    except TimeoutError:
        message = f'no answer, or not all of it, within {DEFAULT_SECONDS:.0f} seconds; `timeout = "1h"` allows more'
        failure = EffectFailure(message, kind="timeout", details={"may_have_run": True})
    except EffectFailure as error:
        failure = error
    begin = f"{context.action_name}: "
    failure.message = mask.text(failure.message if failure.message.startswith(begin) else begin + failure.message)
    failure.details = mask.wire(failure.details)
    raise failure from None


async def _follow_through(client: Client, call: Call, leave: Allowed, order: _Order) -> Wire:
    if order.path is not None and order.file_leave is not None:
        await asyncio.to_thread(check_file, order.file_leave, order.path)
    for hop in range(order.follow + 1):
        request = Request(
            call.method,
            call.url,
            call.headers,
            call.body,
            partial(_refused, leave),
            order.context.limits.http_header_bytes,
        )
        try:
            async with client.send(request) as response:
                location = response.headers.get("location", "") if response.status in _REDIRECTS else ""
                if not (order.follow and location):
                    async with aclosing(response.pieces()) as pieces:
                        return await _take(call, response.status, response.headers, pieces, order)
                status = response.status
        except RequestFault as fault:
            raise _failure(fault, call, hop) from None
        if hop < order.follow:
            call = redirected(call, status, location)
            leave = _leave(call, leave, order.context)
    raise EffectFailure(
        f"the request was redirected more than {order.follow} time{'' if order.follow == 1 else 's'}, "
        f"at last to {call.url.place}",
        details={"may_have_run": True},
    )


def _refused(leave: Allowed, address: str) -> str:
    try:
        return address_allowed(leave, address)
    except UsageError as error:  # such as an address with a zone
        return error.message


def _leave(call: Call, last: Allowed, context: EffectContext) -> Allowed:
    """What the gate says of the place that a redirect leads to."""
    want = Want("net", net_resource(call.url.host, call.url.port, call.method), context.action_name)
    if want == last.want:
        return last
    decision = context.decide(want) if context.decide is not None else Denied(want, "redirects cannot be followed", "")
    if isinstance(decision, Denied):
        raise EffectFailure(
            f"{decision.message} (a redirect leads there)",
            kind="denied",
            details={"option": decision.option, "may_have_run": True},
        )
    return decision


async def _take(call: Call, status: int, headers: dict[str, str], pieces: AsyncIterator[bytes], order: _Order) -> Wire:
    """The value of an answer."""
    limits, place = order.context.limits, call.url.place
    is_good = status < 400 or status in order.ok_status
    is_saved = order.path is not None and is_good and not 300 <= status < 400
    if not is_good:
        raise refusal(call.method, call.url, status, headers, await _beginning(pieces, headers, place))
    if order.path is not None and not is_saved and status not in order.ok_status:
        raise EffectFailure(
            f"{place} answered {status}, which is not what is to be saved: `follow = {MAX_REDIRECTS}` follows "
            "redirects, `ok_status` takes an answer without a body",
            details={"status": status, "headers": headers},
        )
    most = limits.http_download_bytes if is_saved else limits.http_body_bytes
    remedy = "" if order.path is not None else SAVE_IT
    encoding = headers.get("content-encoding", "")
    body = Body(encoding, most, limits.http_ratio, place, remedy)
    if call.method != "HEAD" and not encoding:
        body.check_length(headers.get("content-length", ""))
    if is_saved and order.path is not None and order.file_leave is not None:
        digest = await _save(pieces, body, order.file_leave, order.path, order.context.idempotency_key)
        return answer(call.url, status, headers, body.size_bytes, None, order.path, digest)
    async with aclosing(_decoded(pieces, body)) as decoded:
        data = b"".join([piece async for piece in decoded])
    if len(data) < 64 * 1024:
        return answer(call.url, status, headers, body.size_bytes, data, None, "")
    return await asyncio.to_thread(answer, call.url, status, headers, body.size_bytes, data, None, "")


async def _save(pieces: AsyncIterator[bytes], body: Body, leave: Allowed, path: str, key: str) -> str:
    download = Download(leave, path, key)
    try:
        async with aclosing(_decoded(pieces, body)) as decoded:
            async for piece in decoded:
                await download.write(piece)
        return await download.finish()
    except EffectFailure as error:
        error.details = _with_may_have_run(error.details)
        raise
    finally:
        await download.end()


async def _decoded(pieces: AsyncIterator[bytes], body: Body) -> AsyncGenerator[bytes, None]:
    async for came in pieces:
        for piece in body.feed(came):
            yield piece
    last = body.end()
    if last:
        yield last


async def _beginning(pieces: AsyncIterator[bytes], headers: dict[str, str], place: str) -> bytes:
    """As much of a refusal's body as is shown; what cannot be read of it is left out."""
    data = bytearray()
    try:
        body = Body(headers.get("content-encoding", ""), 1 << 62, 1 << 62, place, "")
        async with asyncio.timeout(_REFUSAL_SECONDS), aclosing(_decoded(pieces, body)) as decoded:
            async for piece in decoded:
                data += piece
                if len(data) >= MAX_REFUSAL_BYTES:
                    break
    except (RequestFault, TimeoutError):
        pass  # the refusal itself is what is told
    return bytes(data[:MAX_REFUSAL_BYTES])


def _failure(fault: RequestFault, call: Call, hop: int) -> EffectFailure:
    details: dict[str, Any] = {
        "host": call.url.place,
        "url": str(call.url),
        "may_have_run": fault.may_have_run or hop > 0,
    }
    if fault.kind == "denied":
        details["option"] = fault.message.partition(": add ")[2]
    return EffectFailure(fault.message, kind=fault.kind, details=details)


def _with_may_have_run(details: Wire) -> Wire:
    pairs: list[Wire] = details["dict"]
    return details if "may_have_run" in pairs[::2] else {"dict": [*pairs, "may_have_run", True]}


def _statuses(wire: Wire) -> frozenset[int]:
    for status in wire or []:
        if type(status) is not int or not 100 <= status <= 599:
            raise EffectFailure("`ok_status` is a list of status numbers, such as [404]", kind="error")
    return frozenset(wire or [])


def _follow(wire: Wire) -> int:
    if type(wire) is not int or not 0 <= wire <= MAX_REDIRECTS:
        raise EffectFailure(f"`follow` is a number of redirects from 0 to {MAX_REDIRECTS}", kind="error")
    return wire
