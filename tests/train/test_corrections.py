"""`guard train corrections`: a real fine-tune on a real export, and that no gradient comes from context."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from guard.cli.train_reports import figure
from guard.errors import ConfigError, MissingExtra
from guard.train.corrections import Wanted, asked, claim_start, scores, train
from guard.train.loading import load
from guard.train.shares import Kind, drawn
from guard.train.token_rows import IGNORED, TokenRow, read_rows
from guard.train.token_scores import log_probs
from guard.train.tuning import Tuning, settings
from tests.train.exports import MODEL, exported, ordinary, rows_of, run, write
from tests.train.quiet import QUIET

pytestmark = QUIET
FORMATS = {
    "labels": (("input_ids", "labels"), None),
    "text": (("prompt", "completion"), None),
    "mask": (("input_ids", "completion_mask"), True),
    "a whole line of the file": ((), None),
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(MODEL)


def corrections(out: Path, *more: Any) -> Any:
    """The command on the export, small."""
    named = ("--model", MODEL, "--rows", exported("prompt_completion"), "--out", out, "--batch", 4)
    return run("corrections", *named, *more)


def report_of(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


# Training


def test_a_fine_tune_on_what_was_logged_learns_the_corrections(tmp_path: Path, tokenizer: Any) -> None:
    out = tmp_path / "adapter"
    done = corrections(out, "--corrections-share", 1, "--steps", 12, "--learning-rate", 5e-3)
    assert done.exit_code == 0, done.output
    assert "masked claims" in done.stdout
    report = report_of(out)
    losses = [entry["loss"] for entry in report["losses"]]
    assert losses[-1] < losses[0] / 2
    assert report["after"]["targets"] > report["before"]["targets"] + 1
    assert report["shares"]["corrections"]["rows"] == 48
    names = {path.name for path in out.rglob("*") if path.is_file()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".pkl", ".pth")) for name in names)
    model, _ = load(str(out), device="cpu")
    rows = read_rows([exported("prompt_completion")], tokenizer, None).rows
    assert scores(model, tokenizer, rows).targets == pytest.approx(report["after"]["targets"], abs=1e-4)


def test_all_weights_with_ordinary_and_clean_rows_in_the_shares_that_were_asked_for(tmp_path: Path) -> None:
    replay = write(tmp_path / "replay.jsonl", ordinary(9))
    asked = {"role": "user", "content": "Hi."}
    chats = [{"messages": [asked, {"role": "assistant", "content": f"I am {n}."}]} for n in range(3)]
    clean = write(tmp_path / "clean.jsonl", chats)
    shares = ("--corrections-share", 0.25, "--clean-share", 0.125, "--replay", replay, "--clean", clean)
    out = tmp_path / "full"
    done = corrections(out, "--full", "--steps", 4, *shares)
    assert done.exit_code == 0, done.output
    report = report_of(out)
    assert {name: got["rows"] for name, got in report["shares"].items()} == {
        "corrections": 4,
        "clean": 2,
        "replay": 10,
    }
    assert sum(got["token_share"] for got in report["shares"].values()) == pytest.approx(1)
    assert report["method"] == "all weights"
    assert {path.suffix for path in out.iterdir()} == {".safetensors", ".json", ".jinja"}
    assert AutoModelForCausalLM.from_pretrained(out, use_safetensors=True).dtype == torch.float32


def test_a_merged_adapter_is_the_model_that_was_trained(tmp_path: Path, tokenizer: Any) -> None:
    out = tmp_path / "merged"
    more = ("--corrections-share", 1, "--steps", 2, "--learning-rate", 5e-3, "--merge", "--lora", 4)
    assert corrections(out, *more).exit_code == 0
    assert not (out / "adapter_config.json").exists()
    rows = read_rows([exported("prompt_completion")], tokenizer, None).rows
    found = scores(load(str(out), device="cpu")[0], tokenizer, rows)
    assert found.targets == pytest.approx(report_of(out)["after"]["targets"], abs=1e-3)
    assert found.claims == pytest.approx(report_of(out)["after"]["claims"], abs=1e-3)


def test_the_same_seed_gives_the_same_model(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert corrections(tmp_path / name, "--corrections-share", 1, "--steps", 1, "--batch", 6).exit_code == 0
    report = report_of(tmp_path / "one")
    assert report == report_of(tmp_path / "two")
    # One batch of all rows: what the trainer takes for the loss is what is measured beside it.
    assert report["shares"]["corrections"]["distinct"] == 6
    assert report["losses"][0]["loss"] == pytest.approx(-report["before"]["targets"], rel=1e-4)


def test_few_corrections_are_warned_about(tmp_path: Path) -> None:
    replay = write(tmp_path / "replay.jsonl", ordinary(4))
    done = corrections(tmp_path / "few", "--corrections-share", 0.04, "--replay", replay, "--steps", 7)
    assert done.exit_code == 0, done.output
    assert 'left P("No" | wrong premise) at 0.50' in done.stderr


# No gradient from context


def batch_of(name: str, tokenizer: Any, model: Any, how: dict[str, Any]) -> tuple[Any, Any]:
    """TRL's trainer over the exported rows in one of their formats, and the batch that its collator makes of three."""
    fields, completion_only = FORMATS[name]
    rows = rows_of(exported("prompt_completion"))[:3]
    data = Dataset.from_list([{field: row[field] for field in fields or row} for row in rows])
    config = SFTConfig(max_length=None, completion_only_loss=completion_only, **how)
    trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
    return trainer, trainer.data_collator([trainer.train_dataset[at] for at in range(3)])


def gradients(trainer: Any, batch: Any, model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """[rows, tokens, width] of the loss by the last hidden states, and its gradient by every weight.

    A hidden state of the last layer is used for nothing but the logits of its own position.
    """
    seen: list[torch.Tensor] = []
    hook = model.model.register_forward_hook(lambda _m, _i, out: seen.append(out.last_hidden_state))
    model.zero_grad()
    loss = trainer.compute_loss(model, dict(batch))
    hook.remove()
    seen[0].retain_grad()
    loss.backward()
    assert seen[0].grad is not None
    return seen[0].grad, {name: weight.grad.clone() for name, weight in model.named_parameters()}


@pytest.mark.parametrize("name", FORMATS)
def test_no_gradient_comes_from_context(name: str, tokenizer: Any) -> None:
    exported_rows = rows_of(exported("prompt_completion"))[:3]
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    with settings(Tuning(model="", batch=3), 1) as how:
        trainer, batch = batch_of(name, tokenizer, model, how)
        by_state, by_weight = gradients(trainer, batch, model)
    longest = batch["labels"].shape[1]
    wanted = torch.tensor([row["labels"] + [IGNORED] * (longest - len(row["labels"])) for row in exported_rows])
    assert torch.equal(batch["labels"], wanted)
    # Position t predicts token t + 1: what it is learnt from is that token's label.
    learnt = torch.cat([wanted[:, 1:] != IGNORED, torch.zeros(3, 1, dtype=torch.bool)], 1)
    assert bool((by_state[~learnt] == 0).all())
    assert bool((by_state[learnt] != 0).any(-1).all())
    # The whole gradient is that of the targets' cross-entropy and of nothing else, written out by hand.
    model.zero_grad()
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    by_hand = torch.nn.functional.cross_entropy(logits[learnt], wanted[:, 1:][learnt[:, :-1]])
    torch.autograd.backward(by_hand)
    for weight_name, weight in model.named_parameters():
        assert weight.grad is not None
        assert torch.allclose(weight.grad, by_weight[weight_name], atol=1e-6, rtol=1e-4)


def test_every_format_has_the_same_gradient_to_the_last_bit(tokenizer: Any) -> None:
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    found = []
    with settings(Tuning(model="", batch=3), 1) as how:
        for name in FORMATS:
            # A trainer patches the model's forward: each gets one that no other has had.
            fresh = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
            found.append(gradients(*batch_of(name, tokenizer, fresh, how), fresh)[1])
    for other in found[1:]:
        assert all(torch.equal(found[0][name], other[name]) for name, _ in model.named_parameters())


def test_an_unmasked_claim_would_be_seen(tokenizer: Any) -> None:
    """The control: with a claim among the labels, the same measurement finds its gradient."""
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    rows = read_rows([exported("prompt_completion")], tokenizer, None).rows[:3]
    with settings(Tuning(model="", batch=3), 1) as how:
        trainer, batch = batch_of("labels", tokenizer, model, how)
        for number, row in enumerate(rows):
            start = claim_start(row, tokenizer)
            batch["labels"][number, start : row.border] = batch["input_ids"][number, start : row.border]
        by_state, _ = gradients(trainer, batch, model)
    for number, row in enumerate(rows):
        start = claim_start(row, tokenizer)
        assert bool((by_state[number, : start - 1] == 0).all())
        assert bool((by_state[number, start - 1 : row.border - 1] != 0).any(-1).all())


# Rows


def test_the_masked_claim_is_found_in_a_row(tokenizer: Any) -> None:
    told = rows_of(exported("prompt_completion"))
    rows = read_rows([exported("prompt_completion")], tokenizer, None).rows
    for row, line in zip(rows, told, strict=True):
        claim = tokenizer.decode(row.ids[claim_start(row, tokenizer) : row.border])
        assert line["prompt"].endswith(claim)
        assert line["prompt"].removesuffix(claim).endswith(("<think>", "."))
        assert claim.strip().count(".") == 1


def test_rows_that_would_be_cut_are_left_out_and_counted(tmp_path: Path, tokenizer: Any) -> None:
    sizes = sorted(len(row["input_ids"]) for row in rows_of(exported("prompt_completion")))
    read = read_rows([exported("prompt_completion")], tokenizer, sizes[-2])
    assert read.too_long == sum(size > sizes[-2] for size in sizes)
    assert len(read.rows) + read.too_long == len(sizes)
    done = corrections(tmp_path / "out", "--corrections-share", 1, "--max-length", 10)
    assert isinstance(done.exception, ConfigError)
    assert f"all {len(sizes)} rows are longer than --max-length 10" in str(done.exception)


def test_every_shape_of_row_is_context_and_target(tmp_path: Path, tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "Hi."}, {"role": "assistant", "reasoning_content": "Hm.", "content": "Yes."}]
    shapes = [
        {"messages": chat},
        {"prompt": chat[:1], "completion": chat[1:]},
        {"prompt": "<|user|>Hi.<|end|><|assistant|><think>", "completion": "Hm.</think>Yes.<|end|>"},
    ]
    rows = read_rows([write(tmp_path / "rows.jsonl", shapes)], tokenizer, None).rows
    assert rows[0] == rows[1] == rows[2]
    learnt = [label for label in rows[0].labels if label != IGNORED]
    assert tokenizer.decode(learnt) == "Hm.</think>Yes.<|end|>"


def test_ordinary_rows_need_no_context_and_corrections_do(tmp_path: Path, tokenizer: Any) -> None:
    """A document in which a quoted claim is masked is learnt from its first token on."""
    path = write(tmp_path / "rows.jsonl", [{"input_ids": [5, 6, 7], "labels": [5, IGNORED, 7]}])
    (row,) = read_rows([path], tokenizer, None).rows
    assert (row.border, row.targets) == (0, 2)
    with pytest.raises(ConfigError, match="needs context and at least one token"):
        read_rows([path], tokenizer, None, tokens_only=True)


def test_a_long_text_is_cut_into_rows_and_nothing_is_lost(tmp_path: Path, tokenizer: Any) -> None:
    (text,) = ordinary(1)
    whole = [*tokenizer(text["text"], add_special_tokens=False)["input_ids"]]
    rows = read_rows([write(tmp_path / "rows.jsonl", [text])], tokenizer, 8).rows
    read = [token for row in rows for token in row.ids]
    end = [tokenizer.eos_token_id]
    assert read == (whole if whole[-1:] == end else whole + end)[: len(read)]
    assert len(whole) + 1 - len(read) <= 1
    assert all(row.labels == row.ids and len(row.ids) <= 8 for row in rows)


def test_log_probabilities_do_not_depend_on_the_batch(tokenizer: Any) -> None:
    model, _ = load(str(MODEL), device="cpu")
    rows = [row.ids for row in read_rows([exported("prompt_completion")], tokenizer, None).rows]
    for row, found in zip(rows, log_probs(model, rows), strict=True):
        with torch.no_grad():
            alone = model(torch.tensor([row])).logits[0].log_softmax(-1)
        expected = [0.0, *(float(alone[at - 1, token]) for at, token in enumerate(row) if at)]
        assert found.tolist() == pytest.approx(expected, abs=1e-4)


# Shares

COUNTS = st.integers(1, 60)


@given(COUNTS, COUNTS, st.floats(0.05, 0.95), st.integers(0, 99), st.integers(20, 300))
def test_shares_are_kept_and_every_row_is_drawn_before_one_is_again(
    first: int, second: int, share: float, seed: int, count: int
) -> None:
    made = [TokenRow(ids=(number, 1), labels=(IGNORED, 1)) for number in range(first + second)]
    kinds = {"a": Kind(rows=made[:first], share=share), "b": Kind(rows=made[first:], share=1 - share)}
    mixture = drawn(kinds, count, seed)
    assert len(mixture.rows) == count
    assert mixture == drawn(kinds, count, seed)
    for name, kind in kinds.items():
        got = mixture.reached[name]
        times = [mixture.rows.count(row) for row in kind.rows]
        assert abs(got.rows - kind.share * count) < 1
        assert sum(times) == got.rows
        assert max(times) - min(times) <= 1
        assert got.distinct == sum(time > 0 for time in times)


# What cannot be used


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--corrections-share", "1.5"], "--corrections-share 1.5 and --clean-share 0.0 are no shares"),
        (["--corrections-share", "0"], "are no shares"),
        (["--clean-share", "0.6"], "are no shares of one whole"),
        ([], "a share of 0.5 is left to --replay"),
        (["--clean-share", "0.5"], "a share of 0.5 is left to --clean"),
        (["--corrections-share", "1", "--replay", "ROWS"], "would never be drawn"),
        (["--corrections-share", "1", "--merge", "--full"], "--merge merges an adapter"),
        (["--corrections-share", "1", "--lora", "4", "--full"], "--lora 4 and --full"),
        (["--corrections-share", "1", "--model", "./none"], "model './none' cannot be loaded"),
        (["--corrections-share", "1", "--rows", "none.jsonl"], "'none.jsonl' cannot be read"),
        (["--corrections-share", "1", "--dtype", "float16"], "--dtype 'float16' is none of"),
        (["--corrections-share", "1", "--device", "tpu"], "--device 'tpu' is none of"),
        (["--corrections-share", "1", "--max-length", "9999"], "--max-length 9999: the model's context has 2048"),
        (["--corrections-share", "1", "--out", "no/where"], "there is no folder 'no'"),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    rows = exported("prompt_completion")
    done = corrections(tmp_path / "out", *(str(rows) if part == "ROWS" else part for part in arguments))
    assert isinstance(done.exception, ConfigError), done.output
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()


GOOD = {"input_ids": [1, 5, 6], "labels": [IGNORED, IGNORED, 6]}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "a", "completion": "b"}, "line 1 has no `input_ids`: export the rows with --tokenizer"),
        ({"input_ids": [1, 5, 6]}, "need `labels` or `completion_mask`"),
        (GOOD | {"labels": [IGNORED, 6]}, "3 `input_ids` and 2 `labels`"),
        (GOOD | {"labels": [IGNORED, IGNORED, 5]}, "a label is neither its token nor -100"),
        (GOOD | {"labels": [IGNORED] * 3}, "needs context and at least one token to learn"),
        (GOOD | {"labels": [1, 5, 6]}, "needs context"),
        ({"input_ids": [1, 99_999], "labels": [IGNORED, 99_999]}, "was made with another tokenizer"),
        (GOOD | {"prompt": "Other", "completion": " words"}, "was made with another tokenizer"),
        (GOOD | {"input_ids": "abc"}, "`input_ids` is no list of whole numbers"),
        ([1], "line 1 is no JSON object"),
    ],
)
def test_a_row_that_cannot_be_used_is_one_line(row: Any, says: str, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [row])
    done = run("corrections", "--model", MODEL, "--rows", path, "--out", tmp_path / "o", "--corrections-share", 1)
    assert isinstance(done.exception, ConfigError), done.output
    assert says in str(done.exception)


def test_a_folder_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine", encoding="utf-8")
    done = corrections(tmp_path, "--corrections-share", 1)
    assert isinstance(done.exception, ConfigError)
    assert "is there already" in str(done.exception)


def test_an_adapter_is_not_trained_on_top_of(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    wanted = Wanted(tuning=Tuning(model=str(tmp_path)), rows=(), out=tmp_path / "o", corrections_share=1)
    with pytest.raises(ConfigError, match="is an adapter: train it with --merge"):
        train(wanted, lambda what, total: pytest.fail(what))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((MODEL / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    done = corrections(tmp_path / "out", "--corrections-share", 1, "--model", tmp_path)
    assert isinstance(done.exception, ConfigError)
    assert "cannot be loaded" in str(done.exception)


def test_shares_that_are_left_over_go_to_replay() -> None:
    wanted = Wanted(
        tuning=Tuning(model=""), rows=(), out=Path(), replay=[Path("r")], corrections_share=0.7, clean_share=0.0
    )
    assert asked(wanted) == {"corrections": 0.7, "clean": 0.0, "replay": 0.3}


@pytest.mark.parametrize(
    ("text", "says"),
    [("\n\n[1]\n{}", "line 3 is no JSON object"), ("{", "line 1 is not JSON"), ("\n", "there are no rows")],
)
def test_files_are_looked_at_before_libraries_are_loaded(
    text: str, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    monkeypatch.delitem(sys.modules, "guard.train.corrections")
    path = tmp_path / "replay.jsonl"
    path.write_text(text)
    done = corrections(tmp_path / "out", "--replay", path)
    assert isinstance(done.exception, ConfigError)
    assert says in str(done.exception)


@given(st.floats(-1, 1))
def test_a_figure_is_never_shown_as_nothing(value: float) -> None:
    shown = figure(value)
    assert float(shown) == pytest.approx(value, rel=0.06)
    assert len(shown) <= 9


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    monkeypatch.delitem(sys.modules, "guard.train.corrections")
    done = corrections(tmp_path / "out")
    assert isinstance(done.exception, MissingExtra)
    assert "training needs 'trl': pip install 'premise-guard[train]'" in str(done.exception)
