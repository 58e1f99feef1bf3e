"""The routes that write into the log: a judgement made, one taken back."""

from __future__ import annotations

import time
import uuid

from fastapi import APIRouter
from starlette.responses import Response

from guard.core.records import Judgement, Review
from guard.errors import RequestError
from guard.server.console_json import answered
from guard.server.console_query import By, Said
from guard.server.gateway import Gateway
from guard.store import Store


def add(routes: APIRouter, gateway: Gateway) -> None:
    """Add them to the others."""
    store = gateway.store

    @routes.post("/judgements")
    async def judge(said: Said) -> Response:
        judgement = _judgement(said)
        review = await store.judge(judgement)
        if review is None:
            raise RequestError(
                f"there is nothing on record with the id {said.subject!r}",
                status=404,
                param="subject",
                code="not_found",
            )
        stored = {one.id: one for one in await store.judgements(said.subject)}
        return answered({"judgement": stored.get(judgement.id), "review": review})

    @routes.delete("/judgements/{key}")
    async def take_back(key: str) -> Response:
        return answered(await _undone(store, key))

    @routes.post("/undo")
    async def undo(by: By) -> Response:
        last = await store.last_judgement(by.reviewer)
        if last is None:
            raise RequestError(f"{by.reviewer!r} has judged nothing", status=404, param="reviewer", code="not_found")
        return answered(await _undone(store, last.id))


async def _undone(store: Store, key: str) -> dict[str, object]:
    """Take a judgement back; what it was and what its subject is taken for now."""
    judgement = await store.undo(key)
    if judgement is None:
        raise RequestError(f"there is no judgement {key!r}", status=404, code="not_found")
    return {"judgement": judgement, "review": await _review(store, judgement.subject)}


async def _review(store: Store, subject: str) -> Review:
    record = await (store.segment(subject) if "#" in subject else store.interruption(subject))
    return record.review if record is not None else "unreviewed"


def _judgement(said: Said) -> Judgement:
    return Judgement(
        id=uuid.uuid4().hex,
        session="",  # the subject's, which the store knows
        at=time.time(),
        subject=said.subject,
        ruling=said.ruling,
        reviewer=said.reviewer,
        label=said.label,
        reason=said.reason,
        correction=said.correction,
        note=said.note,
    )
