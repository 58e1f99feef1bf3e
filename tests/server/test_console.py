"""The log over HTTP: pages and filters, an interruption and a segment whole, judgements, figures."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.live import Live, answer, eventually, policy_file, serving, settings

XSS = "<script>alert(1)</script><img src=x onerror=\"alert(2)\">' onclick='x {claim} %s &lt;b&gt; \x00 \u2028"
TRUTH = "Water boils at 100\n degrees, they say."
PHRASES = [
    {"text": "BAD", "reason": "that is wrong.", "correction": "It is GOOD.", "subject": "it"},
    {"text": "DOUBTFUL", "reason": "nobody knows.", "score": 0.6},
    {"text": "PASSED", "reason": "nobody knows.", "score": 0.3},
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A log of five responses: three by the test policy, one by another, one that was not interrupted."""
    folder = tmp_path_factory.mktemp("log")
    checks = [{"check": "phrase", "phrases": PHRASES, "flag_at": 0.2, "interrupt_at": 0.5}]
    other = policy_file(folder, "other", checks=checks)
    mine = policy_file(folder, "mine", checks=checks)
    with serving(settings(folder, policies={"default": mine, "allowed": [other]})) as live:
        for number in range(3):
            said = [{"reasoning": f"First {XSS}. BAD {XSS} {number}. After"}]
            live.say(answer(said, [{"reasoning": f" Then {XSS}."}, {"content": "Well."}, {"finish": "stop"}]))
            live.stream(
                user=f"user {number}",
                guard={"evidence": [TRUTH, f"Of {XSS}."]},
                messages=[{"role": "user", "content": f"What {XSS} {number}?"}],
            )
        live.say(
            answer(
                [{"content": "One. DOUBTFUL two."}, {"finish": "stop"}], [{"content": " Three."}, {"finish": "stop"}]
            )
        )
        live.stream(guard={"policy": "other"})
        live.say(answer([{"content": "One. PASSED two. Three."}, {"finish": "stop"}]))
        live.stream()
        eventually(lambda: len(live.sessions()) == 5)
        yield live


def get(live: Live, path: str, **parameters: Any) -> Any:
    response = live.client.get(f"/guard/api/{path}", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def ids(live: Live, **parameters: Any) -> list[str]:
    return [entry["id"] for entry in get(live, "interruptions", **parameters)["data"]]


def judged(live: Live, subject: str, ruling: str, reviewer: str = "ann", **more: Any) -> Any:
    body = {"subject": subject, "ruling": ruling, "reviewer": reviewer} | more
    response = live.client.post("/guard/api/judgements", json=body)
    assert response.status_code == 200, response.text
    return response.json()


# Pages


def test_a_page_says_whether_there_is_more(log: Live) -> None:
    everything = get(log, "interruptions")
    assert everything | {"data": []} == {
        "object": "list",
        "data": [],
        "has_more": False,
        "next": None,
        "count": 4,
        "count_capped": False,
    }
    times = [entry["at"] for entry in everything["data"]]
    assert times == sorted(times, reverse=True)
    first = get(log, "interruptions", limit=3)
    assert (first["has_more"], first["count"]) == (True, 4)
    rest = get(log, "interruptions", limit=3, before=first["next"])
    assert (rest["has_more"], rest["next"]) == (False, None)
    assert "count" not in rest
    assert first["data"] + rest["data"] == everything["data"]
    assert get(log, "interruptions", limit=4)["has_more"] is False


def test_a_long_log_is_not_counted_to_its_end(log: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard.server.console_log.COUNTED", 3)
    page = get(log, "interruptions", limit=1)
    assert (page["count"], page["count_capped"]) == (3, True)
    monkeypatch.setattr("guard.server.console_log.COUNTED", 4)
    page = get(log, "interruptions", limit=1)
    assert (page["count"], page["count_capped"]) == (4, False)


def test_every_filter_is_one(log: Live) -> None:
    newest, *mine = ids(log)
    middle = get(log, f"interruptions/{mine[1]}")
    cut = {
        "policy": ("mine", mine),
        "model": ("m", [newest, *mine]),
        "check": ("phrase", [newest, *mine]),
        "channel": ("content", [newest]),
        "outcome": ("corrected", [newest, *mine]),
        "review": ("confirmed", []),
        "session": (middle["session"], [mine[1]]),
        "conversation": (middle["conversation"], [mine[1]]),
        "user": ("user 1", [mine[1]]),
        "since": (middle["at"], [newest, *mine[:2]]),
        "until": (middle["at"], mine[2:]),
        "score_min": (0.7, mine),
        "score_max": (0.7, [newest]),
        "late": ("false", [newest, *mine]),
        "correct": ("retract", [newest]),
        "q": ("nobody two", []),
    }
    for name, (value, wanted) in cut.items():
        assert ids(log, **{name: value}) == wanted, name
        assert ids(log, **{name: value}, limit=1) == wanted[:1], name
    assert ids(log, q="DOUBTFUL tw") == [newest]
    assert ids(log, policy="mine", user="user 2", late="false") == mine[:1]
    assert ids(log, policy="", channel="", since="", q="", late="") == [newest, *mine]  # as a form sends them
    assert ids(log, nonsense="x") == [newest, *mine]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "many"),
        ("channel", "thoughts"),
        ("outcome", "good"),
        ("review", "fine"),
        ("correct", "delete"),
        ("late", "perhaps"),
        ("score_min", "2"),
        ("score_max", "nan"),
        ("since", "yesterday"),
        ("until", "inf"),
        ("q", "x " * 501),
        ("before", "x" * 10_001),
    ],
)
def test_a_wrong_parameter_is_named(log: Live, name: str, value: str) -> None:
    response = log.client.get("/guard/api/interruptions", params={name: value})
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", name)
    assert error["message"].startswith(f"{name}: ")


def test_facets_are_what_is_on_record(log: Live) -> None:
    assert get(log, "facets") == {
        "model": ["m"],
        "policy": ["mine", "other"],
        "check": ["phrase"],
        "channel": ["content", "reasoning"],
        "outcome": ["corrected", "relapsed", "abandoned", "open"],
        "review": ["unreviewed", "confirmed", "rejected", "disputed"],
    }


# One of them


def test_an_interruption_whole(log: Live) -> None:
    key = ids(log)[2]
    listed = next(entry for entry in get(log, "interruptions")["data"] if entry["id"] == key)
    one = get(log, f"interruptions/{key}")
    assert listed == {name: one[name] for name in listed}
    assert one["score"] == 1.0
    assert one["claim"] == f" BAD {XSS} 1."
    assert one["claim_span"] == [len(one["kept"]["reasoning"]), len(one["kept"]["reasoning"]) + len(one["claim"])]
    assert one["put_in"] == " No, that is wrong. It is GOOD."
    assert one["followed"] == f" Then {XSS}."
    assert one["messages"] == [{"role": "user", "content": f"What {XSS} 1?"}]
    assert one["evidence"]["question"] == f"What {XSS} 1?"
    assert [p["text"] for p in one["evidence"]["passages"] if p["source"] == "evidence"] == [TRUTH, f"Of {XSS}."]
    (verdict,) = one["verdicts"]
    assert {"check", "version", "status", "why", "disposition", "findings"} <= set(verdict)
    assert (verdict["check"], verdict["status"], verdict["disposition"]) == ("phrase", "flagged", "interrupted")
    assert set(verdict["findings"][0]) == {"score", "reason", "correction", "evidence", "start", "end"}
    assert one["session"] in key
    assert one["policy"] == "mine"
    assert len(one["policy_hash"]) == 64
    assert one["backend"] == "scripted"
    assert (one["siblings"], one["judgements"], one["revised"], one["tools"]) == ([], [], None, None)


def test_the_others_of_a_session_are_named(log: Live) -> None:
    log.say(answer([{"reasoning": "BAD one."}], [{"reasoning": " BAD two."}], [{"reasoning": " Three."}]))
    log.stream(guard={"policy": "other"})
    second, first = ids(log)[:2]
    assert get(log, f"interruptions/{first}")["siblings"] == [second]
    assert get(log, f"interruptions/{second}")["siblings"] == [first]
    assert log.client.post("/guard/api/mode", json={"mode": "supervise"}).status_code == 200


@pytest.mark.parametrize("path", ["interruptions/nope", "segments/nope", "segments/a.0%231", "interruptions/%00"])
def test_what_is_not_on_record_is_not_found(log: Live, path: str) -> None:
    response = log.client.get(f"/guard/api/{path}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def _flagged(log: Live) -> dict[str, Any]:
    subjects = get(log, "queue", reviewer="somebody else", limit=100)["data"]
    return next(s for s in subjects if s["why"] == "flagged, not interrupted")


def test_a_segment_that_was_let_pass(log: Live) -> None:
    subject = _flagged(log)
    assert subject["kind"] == "segment"
    one = get(log, f"segments/{subject['id'].replace('#', '%23')}")
    assert one["id"] == subject["id"]
    assert (one["kind"], one["channel"], one["before"], one["claim"]) == ("flagged", "content", "One.", " PASSED two.")
    assert (one["question"], one["after"], one["score"], one["review"]) == ("What is it?", "", 0.3, "unreviewed")
    assert one["verdicts"][0]["disposition"] == "none"


# Judging


def test_a_judgement_is_made_and_taken_back(log: Live) -> None:
    key = ids(log)[-1]
    made = judged(log, key, "confirmed", label=" wrong date ", reason=f"{XSS}.", note="see there")
    assert made["review"] == "confirmed"
    assert made["judgement"] | {"id": "", "at": 0} == {
        "id": "",
        "subject": key,
        "session": key.rpartition(".")[0].rpartition(".")[0],
        "reviewer": "ann",
        "at": 0,
        "ruling": "confirmed",
        "label": "wrong date",
        "reason": f"{XSS}.",
        "correction": None,
        "note": "see there",
    }
    assert abs(made["judgement"]["at"] - time.time()) < 60
    one = get(log, f"interruptions/{key}")
    assert one["judgements"] == [made["judgement"]]
    assert one["revised"] == {"label": "wrong date", "reason": f"{XSS}.", "correction": None}
    assert ids(log, review="confirmed") == [key]
    assert key not in [s["id"] for s in get(log, "queue", reviewer="ann", limit=100)["data"]]
    assert judged(log, key, "rejected", "bob")["review"] == "disputed"
    agreed = get(log, "agreement")
    assert (agreed["pairs"], agreed["agreed"], agreed["reviewers"]) == (1, 0, 2)

    undone = log.client.post("/guard/api/undo", json={"reviewer": "bob"}).json()
    assert (undone["review"], undone["judgement"]["reviewer"]) == ("confirmed", "bob")
    taken = log.client.delete(f"/guard/api/judgements/{made['judgement']['id']}").json()
    assert taken == {"judgement": made["judgement"], "review": "unreviewed"}
    assert get(log, f"interruptions/{key}")["revised"] is None


def test_a_segment_is_judged_too(log: Live) -> None:
    key = _flagged(log)["id"]
    assert judged(log, key, "rejected")["review"] == "rejected"
    assert get(log, f"segments/{key.replace('#', '%23')}")["review"] == "rejected"
    undone = log.client.post("/guard/api/undo", json={"reviewer": "ann"}).json()
    assert (undone["judgement"]["subject"], undone["review"]) == (key, "unreviewed")


def test_what_cannot_be_taken_back_is_not_found(log: Live) -> None:
    for method, path, body in (
        ("POST", "undo", {"reviewer": "nobody"}),
        ("DELETE", "judgements/nope", None),
        ("POST", "judgements", {"subject": "nope", "ruling": "confirmed", "reviewer": "ann"}),
        ("POST", "judgements", {"subject": "a.0#1", "ruling": "confirmed", "reviewer": "ann"}),
    ):
        response = log.client.request(method, f"/guard/api/{path}", json=body)
        assert response.status_code == 404, path
        assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ruling", "good"),
        ("ruling", None),
        ("reviewer", ""),
        ("reviewer", "  "),
        ("reviewer", "x" * 201),
        ("subject", None),
        ("subject", 1),
        ("reason", "x" * 10_001),
        ("correction", ["x"]),
        ("note", "x" * 10_001),
        ("label", "x" * 201),
    ],
)
def test_a_wrong_judgement_is_refused(log: Live, name: str, value: Any) -> None:
    body = {"subject": ids(log)[0], "ruling": "confirmed", "reviewer": "ann"} | {name: value}
    response = log.client.post("/guard/api/judgements", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == name


def test_the_queue_is_one_reviewers(log: Live) -> None:
    subjects = get(log, "queue", reviewer="ann", limit=100)["data"]
    assert {"kind", "id", "at", "score", "doubt", "check", "why"} <= set(subjects[0])
    assert set(ids(log)) <= {s["id"] for s in subjects}
    assert len(get(log, "queue", reviewer="ann", limit=1)["data"]) == 1
    for wrong in ("", "?reviewer=", "?reviewer=ann&limit=0", f"?reviewer={'x' * 201}"):
        assert log.client.get(f"/guard/api/queue{wrong}").status_code == 400


# Figures and state


@pytest.mark.parametrize("body", ["{", "", "\x00", "[" * 100_000, '{"mode": "off"'])
def test_what_is_no_json_is_no_parameter_of_a_strange_name(log: Live, body: str) -> None:
    for path in ("mode", "judgements", "undo"):
        sent = log.client.post(f"/guard/api/{path}", content=body, headers={"content-type": "application/json"})
        assert sent.status_code == 400
        assert sent.json()["error"]["param"] in ("body", None)
    assert log.gateway.mode == "supervise"


def test_figures(log: Live) -> None:
    key = ids(log)[-1]
    judged(log, key, "confirmed")
    (check,) = get(log, "quality")["checks"]
    assert set(check) == {"check", "confirmed", "rejected", "precision", "low", "high"}
    assert (check["check"], check["confirmed"], check["rejected"], check["precision"]) == ("phrase", 1, 0, 1.0)
    for days, bucket in ((1, 3600), (7, 6 * 3600), (90, 86400)):
        trends = get(log, "trends", days=days)
        assert trends["bucket_s"] == bucket
        assert sum(b["interruptions"] for b in trends["buckets"]) == len(ids(log))
        assert sum(b["by_check"].get("phrase", 0) for b in trends["buckets"]) == len(ids(log))
        assert all(b["start"] % bucket == 0 for b in trends["buckets"])
    for wrong in ("0", "-1", "nan", "x", "100000", "1e-320", "1e-9", "1e400"):
        assert log.client.get("/guard/api/trends", params={"days": wrong}).status_code == 400
    log.client.post("/guard/api/undo", json={"reviewer": "ann"})


def test_the_state_of_the_server(log: Live) -> None:
    state = get(log, "state")
    assert (state["mode"], state["models"], state["default_policy"], state["store"]) == (
        "supervise",
        ["m"],
        "mine",
        "sqlite",
    )
    assert state["client_key_required"] is False
    assert isinstance(state["reviewer_hint"], str)
    assert {p["name"] for p in state["policies"]} == {"mine", "other"}
    assert state["policies"][0]["checks"] == ["phrase"]
    assert state["version"]


def test_the_store_that_fails_is_an_error_of_the_server(log: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        from guard.errors import StoreError

        raise StoreError("no disk")

    monkeypatch.setattr(log.gateway.store.database, "interruptions", broken)
    response = log.client.get("/guard/api/interruptions")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "StoreError"


def test_no_response_waits_for_a_page_that_reads_long(log: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    database, go_on = log.gateway.store.database, threading.Event()
    count = database.count

    def slow(*args: Any) -> int:
        go_on.wait(20)
        return count(*args)

    monkeypatch.setattr(database, "count", slow)
    got: list[Any] = []
    page = threading.Thread(target=lambda: got.append(get(log, "interruptions")))
    page.start()
    log.say(answer([{"reasoning": "BAD one."}], [{"content": "Well."}, {"finish": "stop"}]))
    assert log.stream(guard={"policy": "other"}).text() == "Well."  # its interruption was written meanwhile
    assert not got
    go_on.set()
    page.join(10)
    assert got[0]["count"] >= 5
