"""The training of the grounding check's encoder and of the stack: what rows are made of, and both scripts from files to
a folder that the check loads."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightgbm", reason="needs the extra `train`")
pytest.importorskip("onnx", reason="needs the extra `train`")

import numpy as np
import torch
from transformers import BertConfig, BertModel

from guard.checks import Context, Resources
from guard.checks.grounding import Grounding
from guard.checks.grounding.model import load
from guard.checks.grounding.pairs import LONGEST, Packer
from guard.core.types import Evidence, Passage, Segment
from guard.train import encoder, stack
from guard.train.encoder_net import Encoder, Logits, ask, collate, export
from guard.train.encoder_rows import Row, rows
from guard.train.grounding import build, fold_of, natural
from guard.train.grounding_data import Answer, cut, overlaps, read_folder
from guard.train.grounding_score import Scored, interval, measure
from tests.checks.encoder_models import wordpiece
from tests.train.test_grounding import row as labelled

CONTEXT = (
    "The Arlen Bridge was opened in 1932 by Mayor Dora Finch. It is 412 metres long and carries four lanes of traffic. "
    "Repairs to the bridge took 15 months and did not close the footpath. A toll of 2 pounds is paid by lorries alone. "
    "Cyclists may use the northern side at any time, and pedestrians are asked to keep to the southern one."
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with its tokenizer, as a folder of weights to start from."""
    folder = tmp_path_factory.mktemp("start")
    tokenizer = wordpiece()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=LONGEST,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def packer(start: Path) -> Packer:
    return Packer(start / "tokenizer.json")


def answer(text: str, *spans: tuple[int, int], source: str = "ragtruth_qa_train", id: str = "QA-1") -> Answer:
    return Answer(
        id=id,
        source=source,
        group="0" * 16,
        question="Tell me about the bridge.",
        context=CONTEXT,
        text=text,
        spans=list(spans),
        bad=bool(spans),
        segments=cut(text),
    )


def made(packer: Packer, *answers: Answer) -> list[Row]:
    return list(rows(answers, packer, load().lexicon))


# Rows


def test_a_row_is_labelled_where_its_answer_is(packer: Packer) -> None:
    text = "The Arlen Bridge was opened in 1932. It was built by a Danish firm in just two years."
    at = text.index("a Danish firm")
    good, bad = (one for one in made(packer, answer(text, (at, at + 13))) if one.kind == "real")
    assert (good.bad, any(good.tokens or [])) == (False, False)
    assert bad.bad
    assert bad.tokens is not None
    marked = [
        text[bad.start + a : bad.start + b]
        for (a, b), is_bad in zip(bad.pair.offsets, bad.tokens, strict=True)
        if is_bad
    ]
    assert "".join(marked) == "aDanishfirm"


def test_made_rows_are_bad_just_where_they_were_changed(packer: Packer) -> None:
    text = "The Arlen Bridge was opened in 1932 by Mayor Dora Finch. Repairs to the bridge took 15 months."
    found = made(packer, *[answer(text)] * 8)  # each answer draws its own changes
    assert len({tuple(one.pair.ids) for one in found if one.kind == "changed"}) > 3
    assert any(one.kind == "bereft" for one in found)
    for one in found:
        if one.kind == "real":
            continue
        assert one.bad
        assert one.tokens is not None
        assert any(one.tokens)
        assert not all(one.tokens)
        assert len(one.tokens) == len(one.pair.offsets)


def test_what_is_taken_away_is_not_in_the_row(packer: Packer) -> None:
    (one,) = (r for r in made(packer, answer("Repairs to the bridge took 15 months.")) if r.kind == "bereft")
    evidence = one.pair.ids[1 + len(one.pair.offsets) :]
    for word in ("repairs", "months"):
        wanted = packer.ids(word)
        assert not any(evidence[at : at + len(wanted)] == wanted for at in range(len(evidence)))


def test_an_edited_answer_is_wrong_where_it_differs_from_its_original(packer: Packer) -> None:
    before = "Mayor Dora Finch opened the bridge. Lorries alone pay a toll."
    after = "Mayor Dora Finch opened the bridge. Cyclists alone pay a toll."
    source = "summedits_x"
    original = answer(before, source=source, id="x_og")
    edited = answer(after, (0, len(after)), source=source, id="x_3")
    lost = answer(after, (0, len(after)), source=source, id="y_3")
    found = [one for one in made(packer, original, edited, lost) if one.kind == "real"]
    assert [(one.answer, one.bad) for one in found] == [(0, False), (0, False), (1, False), (1, True)]
    told = found[-1]
    assert told.tokens is not None
    marked = [
        after[told.start + a : told.start + b]
        for (a, b), bad in zip(told.pair.offsets, told.tokens, strict=True)
        if bad
    ]
    assert "".join(marked) == "Cyclists"


def test_special_tokens_in_a_statement_are_words(packer: Packer) -> None:
    (one,) = (r for r in made(packer, answer("The [SEP] Arlen Bridge [CLS] was opened in 1932.")) if r.kind == "real")
    first, separator = one.pair.ids[0], one.pair.ids[-1]
    assert (one.pair.ids.count(first), one.pair.ids.count(separator)) == (1, 3)


# The network


def test_a_row_means_the_same_alone_and_among_others(start: Path, packer: Packer) -> None:
    net = Encoder(start).eval()
    some = made(
        packer, answer("The bridge was opened in 1932. It is long, and it carries four lanes of traffic today.")
    )
    together = ask(net, some, lambda _: None)
    for one, logits in zip(some, together, strict=True):
        (alone,) = ask(net, [one], lambda _: None)
        assert alone.statement == pytest.approx(logits.statement, abs=2e-2)  # bfloat16
        assert len(logits.tokens) == len(one.pair.offsets)


def test_what_is_exported_says_what_the_network_says(start: Path, packer: Packer, tmp_path: Path) -> None:
    import onnxruntime

    net = Encoder(start).eval()
    some = made(packer, answer("The bridge was opened in 1932. It is 412 metres long."))[:2]
    export(net, some, tmp_path / "encoder.onnx", {"seed": "0"})
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx", providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == {"seed": "0"}
    batch = collate(some[:1])
    named = {name: batch[name].numpy() for name in ("ids", "types", "mask", "said")}
    tokens, statement = session.run(["token", "statement"], named)
    with torch.no_grad():
        wanted = net(*(batch[name] for name in named))
    assert np.allclose(tokens, wanted[0].numpy(), atol=0.1)  # eight bits
    assert np.allclose(statement, wanted[1].numpy(), atol=0.1)


# The scripts


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("data"), random.Random(2)
    lines = [json.dumps(labelled(number, rng)) for number in range(120)]
    (folder / "ragtruth_qa_train.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def run(module: Any, *arguments: Any) -> None:
    before = sys.argv
    sys.argv = [module.__name__, *map(str, arguments)]
    try:
        module.main()
    finally:
        sys.argv = before


def test_from_files_to_a_folder_that_the_check_loads(
    data: Path, start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    run(encoder, data, "--start", start, "--work", work, "--only", "0,1,all")
    before = (work / "fold-0.npz").stat().st_mtime_ns
    run(encoder, data, "--start", start, "--work", work, "--only", "0")
    assert (work / "fold-0.npz").stat().st_mtime_ns == before
    held = encoder.saved(work / "fold-0.npz")
    answers = read_folder(data)
    assert held
    assert {fold_of(answers[at]) for at, _ in held} == {0}
    capsys.readouterr()
    run(stack, data, "--work", work, "--out", out)
    report = json.loads(capsys.readouterr().out)
    assert report["folds"] == [0, 1]
    assert report["stack"]["ragtruth_qa_train"]["auroc"] > 80  # the trees alone see what was made up here
    written = json.loads((out / "stack.json").read_text(encoding="utf-8"))
    assert written["about"]["cross_validated"] == report
    assert [each["file"] for each in written["about"]["trained_on"]] == ["ragtruth_qa_train.jsonl"]
    assert _score(out, "Its architect, Sir Eldous Marchbank, also designed 12 lighthouses.") > 0.1


def _score(folder: Path, text: str) -> float:
    check = Grounding(Grounding.Params(encoder=str(folder), least=0), Resources())
    evidence = Evidence(passages=(Passage(source="evidence", text=CONTEXT),), question="")
    segment = Segment(id=0, channel="content", start=0, end=len(text), text=text, attempt=0)

    async def examine() -> Any:
        pending = check.examine(segment, Context(evidence=evidence))
        assert isinstance(pending, Awaitable)
        return await pending

    return max(float(one.score) for one in asyncio.run(examine()))


def test_an_unknown_part_is_named(data: Path, start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(encoder, data, "--start", start, "--work", tmp_path, "--only", "0,9")
    assert "--only names ['9']" in capsys.readouterr().err


def test_a_stack_needs_folds(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(stack, data, "--work", tmp_path)
    assert "run guard.train.encoder first" in capsys.readouterr().err


def test_an_epoch_learns_nothing_of_its_fold_and_little_of_what_is_made(packer: Packer, data: Path) -> None:
    answers = read_folder(data)
    packed = list(rows(answers, packer, load().lexicon))
    for epoch in encoder.epochs(answers, packed, out=2, seed=0):
        assert all(fold_of(answers[one.answer]) != 2 for one in epoch)
        bad = sum(one.bad for one in epoch if one.kind == "real")
        assert sum(not one.bad for one in epoch) <= encoder.GOOD * bad + 1


def test_intervals_hold_the_figure(data: Path) -> None:
    answers = read_folder(data)
    rng = random.Random(0)
    examples = [one for one in build(answers, load().lexicon) if not one.made]
    scores = [rng.random() + 0.5 * overlaps(answers[one.answer].spans, one.start, one.end) for one in examples]
    scored = Scored(answers, examples, scores, natural(answers))
    found, around = measure(scored), interval(scored)
    for name, (low, high) in around.items():
        assert low <= found[name] <= high
        assert low < high


def test_saved_logits_come_back(tmp_path: Path, packer: Packer) -> None:
    found = made(packer, answer("The bridge was opened in 1932. It is long and wide today."))
    some = [one for one in found if one.kind == "real"]
    logits = [Logits(0.5, np.array([1.0, -2.0], np.float32)), Logits(-3.0, np.array([], np.float32))]
    encoder.save(tmp_path / "x.npz", some, logits)
    back = encoder.saved(tmp_path / "x.npz")
    assert list(back) == [(one.answer, one.start) for one in some]
    assert [each.statement for each in back.values()] == [0.5, -3.0]
    assert [each.tokens.tolist() for each in back.values()] == [[1.0, -2.0], []]
