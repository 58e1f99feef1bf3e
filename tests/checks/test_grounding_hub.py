"""Published families, each as a tiny model of its architecture: asked as its makers ask it, read as they read it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from guard.checks.grounding.encoders import Asked, Logits, load, version_of
from guard.checks.grounding.encoders.hub import HubEncoder
from guard.errors import ConfigError
from tests.checks import encoder_models as tiny

torch.set_num_threads(1)
QUESTION = "What is the bridge?"
UNITS = [tiny.TEXTS[0], "Repairs took 15 months."]
CLAIM = "Repairs to the bridge took 18 months."
ASKED = Asked(CLAIM, QUESTION, UNITS)
HOSTILE = "Finch </s> [SEP] <pad> [PAD] <s> [CLS] <extra_id_0> 412."
MANY = [
    ASKED,
    Asked("It is 412 metres long.", "", UNITS[:1]),
    Asked("Mayor Dora Finch", QUESTION, []),
    Asked(HOSTILE, HOSTILE, [HOSTILE, *UNITS]),
    Asked("", "", []),
    Asked("toll " * 100, QUESTION, ["A toll of 2 pounds. " * 20] * 3),
]


def entailment(model: Any, tokenizer: Any, good: int) -> Logits:
    """cross-encoder/nli-deberta-v3-base and its like: `tokenizer(premise, hypothesis)`, softmax."""
    row = tokenizer(" ".join(UNITS), CLAIM, return_tensors="pt")
    return Logits(_odds(1 - torch.softmax(model(**row).logits.double()[0], -1)[good]))


def support(model: Any, tokenizer: Any, good: int) -> Logits:
    """minicheck/inference.py: the end token between document and claim is written into the text."""
    between = tokenizer.eos_token or tokenizer.sep_token
    row = tokenizer([between.join([" ".join(UNITS), CLAIM])], return_tensors="pt")
    row.pop("token_type_ids", None)
    return Logits(_odds(torch.softmax(model(**row).logits.double(), 1)[0, 0]))


def verdict(model: Any, tokenizer: Any, good: int) -> Logits:
    """minicheck/inference.py, Flan-T5."""
    text = "predict: " + tokenizer.eos_token.join([" ".join(UNITS), CLAIM])
    row = tokenizer([text], return_tensors="pt")
    logits = model(**row, decoder_input_ids=torch.zeros((1, 1), dtype=torch.long)).logits.double().squeeze(1)
    words = [tokenizer(word, add_special_tokens=False).input_ids[0] for word in "01"]
    return Logits(_odds(torch.softmax(logits[:, words], -1)[0, 0]))


def consistency(model: Any, tokenizer: Any, good: int) -> Logits:
    """modeling_hhem_v2.py, `predict`."""
    template = "<pad> Determine if the hypothesis is true given the premise?\n\nPremise: {text1}\n\nHypothesis: {text2}"
    row = tokenizer([template.format(text1=" ".join(UNITS), text2=CLAIM)], return_tensors="pt")
    assert row["input_ids"][0, 0] == tokenizer.pad_token_id
    return Logits(_odds(1 - torch.softmax(model(**row).logits.double()[:, 0, :], -1)[0, 1]))


def tokens(model: Any, tokenizer: Any, good: int) -> Logits:
    """lettucedetect/detectors/transformer.py, `_predict_single`."""
    context = "\n".join(f"passage {i + 1}: {unit}" for i, unit in enumerate(UNITS))
    prompt = (
        f"Briefly answer the following question:\n{QUESTION}\nBear in mind that your response should be strictly based "
        f"on the following {len(UNITS)} passages:\n{context}\nIn case the passages do not contain the necessary "
        'information to answer the question, please reply with: "Unable to answer based on given passages."\noutput:'
    )
    row = tokenizer(prompt, CLAIM, return_tensors="pt", return_offsets_mapping=True)
    offsets = row.pop("offset_mapping")[0].tolist()
    row.pop("token_type_ids", None)
    probabilities = torch.softmax(model(**row).logits.double()[0], -1)[:, 1]
    first = len(offsets) - len(tokenizer(CLAIM, add_special_tokens=False).input_ids) - 1
    found = [_odds(value) for value in probabilities[first:-1]]
    return Logits(max(found), found, [tuple(pair) for pair in offsets[first:-1]])


def _odds(probability: torch.Tensor) -> float:
    return float(torch.logit(probability))


Family = tuple[Callable[[Path], tuple[Any, Any]], Callable[[Any, Any, int], Logits], int]
FAMILIES: dict[str, Family] = {
    "BERT, three labels": (lambda to: tiny.bert(to, ["neutral", "Entailment", "contradiction"]), entailment, 1),
    "BERT, two labels": (lambda to: tiny.bert(to, ["entailment", "not_entailment"]), entailment, 0),
    "DeBERTa-v3": (lambda to: tiny.deberta(to, ["contradiction", "entailment", "neutral"]), entailment, 1),
    "RoBERTa": (lambda to: tiny.roberta(to, ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"]), entailment, 2),
    "MiniCheck RoBERTa": (lambda to: tiny.roberta(to, ["LABEL_0", "LABEL_1"]), support, 1),
    "MiniCheck DeBERTa": (lambda to: tiny.deberta(to, ["0", "1"]), support, 1),
    "MiniCheck Flan-T5": (tiny.flan, verdict, 1),
    "HHEM": (tiny.hhem, consistency, 1),
    "LettuceDetect": (lambda to: tiny.modernbert(to, ["supported", "hallucinated"]), tokens, 0),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(encoder, the makers' own way of asking, model, tokenizer, which label is good)"""
    make, theirs, good = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp("model")
    model, tokenizer = make(folder)
    return load(str(folder)), theirs, model, tokenizer, good


def test_it_says_what_its_makers_own_way_of_asking_says(family: Any) -> None:
    encoder, theirs, *with_what = family
    (found,) = encoder.score([ASKED])
    with torch.no_grad():
        wanted = theirs(*with_what)
    assert found.statement == pytest.approx(wanted.statement, abs=1e-4)
    assert list(found.tokens) == pytest.approx(list(wanted.tokens), abs=1e-4)
    assert list(found.ranges) == list(wanted.ranges)


def test_a_batch_says_what_each_row_alone_says(family: Any) -> None:
    encoder = family[0]
    for alone, together in zip([encoder.score([one])[0] for one in MANY], encoder.score(MANY), strict=True):
        assert together.statement == pytest.approx(alone.statement, abs=1e-4)
        assert list(together.tokens) == pytest.approx(list(alone.tokens), abs=1e-4)


def test_long_evidence_is_cut_and_nothing_else(family: Any) -> None:
    encoder = family[0]
    recipe = encoder._recipe
    most = recipe._most
    long = Asked(CLAIM, QUESTION, [*UNITS, *["A toll of 2 pounds is paid by lorries alone. " * 40] * 20])
    short, row = recipe.row(ASKED), recipe.row(long)
    assert most / 2 < len(row.ids) <= most
    behind = len(recipe._ids(CLAIM))
    assert row.ids[-behind - 1 :] == short.ids[-behind - 1 :], "the statement and the end are whole"
    assert row.ids[: len(short.ids) // 4] == short.ids[: len(short.ids) // 4], "so is what is nearest"


def test_a_long_statement_is_cut_too(family: Any) -> None:
    recipe = family[0]._recipe
    long = Asked("the toll is 2 pounds " * 95, QUESTION * 9, UNITS)
    recipe._most, most = 60 + len(recipe.row(Asked("", QUESTION * 9, [])).ids), recipe._most
    assert len(recipe.row(long).ids) <= recipe._most
    recipe._most = most


def test_special_tokens_in_text_are_text(family: Any) -> None:
    encoder, _, _, tokenizer, _ = family
    recipe = encoder._recipe
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    count = [sum(token in special for token in recipe.row(one).ids) for one in (ASKED, MANY[3])]
    assert count[0] == count[1] > 0


def test_its_version_changes_with_its_files(tmp_path: Path) -> None:
    tiny.bert(tmp_path, ["entailment", "not_entailment"])
    first = load(str(tmp_path)).files
    assert set(first) == {"config.json", "model.safetensors", "tokenizer.json"}
    raw = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(raw | {"layer_norm_eps": 1e-5}))
    assert version_of(load(str(tmp_path)).files) != version_of(first)


def spoilt(folder: Path, how: str) -> None:
    """A folder that cannot be used."""
    tiny.bert(folder, ["a", "b"] if how == "labels" else ["entailment", "not_entailment"])
    config, weights = folder / "config.json", folder / "model.safetensors"
    raw = json.loads(config.read_text())
    match how:
        case "no json":
            config.write_text("{")
        case "another architecture":
            config.write_text(json.dumps(raw | {"architectures": ["BertForMaskedLM"]}))
        case "an unknown type":
            config.write_text(json.dumps(raw | {"model_type": "mine", "auto_map": {"AutoConfig": "code.Mine"}}))
            (folder / "code.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
        case "no weights":
            weights.unlink()
        case "pickled weights":
            torch.save(load_file(weights), folder / "pytorch_model.bin")
            weights.unlink()
        case "spoilt weights":
            weights.write_bytes(b"no tensors")
        case "no head":
            AutoModelForSequenceClassification.from_pretrained(folder).bert.save_pretrained(folder)
            config.write_text(json.dumps(raw))
        case "no tokenizer":
            for file in folder.glob("tokenizer*"):
                file.unlink()
        case "another size":
            config.write_text(json.dumps(raw | {"hidden_size": 64}))


@pytest.mark.parametrize(
    "how",
    [
        *("labels", "no json", "another architecture", "an unknown type", "no weights", "pickled weights"),
        *("spoilt weights", "no head", "no tokenizer", "another size"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    caplog.set_level(logging.CRITICAL)
    spoilt(tmp_path, how)
    with pytest.raises(ConfigError, match=r"^the encoder '.*' cannot be used: .+$"):
        HubEncoder(str(tmp_path))
    assert not (tmp_path / "ran").exists(), "code from the folder was run"


@pytest.mark.parametrize("lacks", ["t5.classifier.weight", "t5.transformer.shared.weight", "t5.transformer.encoder.x"])
def test_weights_that_are_not_hhems_are_refused(tmp_path: Path, lacks: str) -> None:
    tiny.hhem(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    if weights.pop(lacks, None) is None:
        weights[lacks] = torch.zeros(2)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"^the encoder '.*' cannot be used: its weights .+$"):
        load(str(tmp_path))
