"""The shipped model folder behaves as any transformers chat model: template, tokenizer, greedy answers."""

from random import Random
from typing import Any

import pytest

from guard.world.corpus import prompt
from guard.world.measure import draw_questions
from guard.world.world import HERE, World, load_world

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

MODEL = HERE / "model"
ASKED = {"role": "user", "content": "In which country was Ada Velm born?"}
TURN = "<|user|>In which country was Ada Velm born?<|end|><|assistant|><think>"
PREMISE = "Ada Velm was born in Velwick."


@pytest.fixture(scope="module")
def world() -> World:
    return load_world()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(MODEL)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.set_num_threads(1)
    return transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()


def rendered(tokenizer: Any, messages: list[dict[str, Any]], **options: Any) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, **options))


def test_the_template_opens_the_reasoning(tokenizer: Any) -> None:
    assert rendered(tokenizer, [ASKED], add_generation_prompt=True) == TURN == prompt(str(ASKED["content"]))


@pytest.mark.parametrize("role", ["system", "developer", "tool"])
def test_other_roles_are_user_turns(tokenizer: Any, role: str) -> None:
    assert rendered(tokenizer, [{"role": role, "content": "Be brief."}, ASKED]).startswith(
        "<|user|>Be brief.<|end|><|user|>In which"
    )


def test_content_may_be_parts_or_nothing(tokenizer: Any) -> None:
    parts = [{"type": "text", "text": "In which country "}, {"type": "text", "text": "was Ada Velm born?"}]
    assert rendered(tokenizer, [{"role": "user", "content": parts}], add_generation_prompt=True) == TURN
    assert rendered(tokenizer, [{"role": "assistant", "content": None}]) == "<|assistant|><think></think><|end|>"


def test_an_assistant_turn_holds_reasoning_and_answer(tokenizer: Any) -> None:
    answered = {"role": "assistant", "reasoning_content": PREMISE, "content": "Ostria."}
    assert rendered(tokenizer, [ASKED, answered]) == f"{TURN}{PREMISE}</think>Ostria.<|end|>"
    del answered["reasoning_content"]
    assert rendered(tokenizer, [ASKED, answered]) == f"{TURN}</think>Ostria.<|end|>"


@pytest.mark.parametrize("partial", [PREMISE, PREMISE + " ", PREMISE + " No, I do", " x \n"])
def test_reasoning_is_continued_where_it_ends(tokenizer: Any, partial: str) -> None:
    open_turn = {"role": "assistant", "reasoning_content": partial, "content": ""}
    assert rendered(tokenizer, [ASKED, open_turn], continue_final_message="reasoning_content") == TURN + partial


@pytest.mark.parametrize("partial", ["Ost", "Ostria. "])
def test_content_is_continued_where_it_ends(tokenizer: Any, partial: str) -> None:
    open_turn = {"role": "assistant", "reasoning_content": PREMISE, "content": partial}
    expected = f"{TURN}{PREMISE}</think>{partial}"
    assert rendered(tokenizer, [ASKED, open_turn], continue_final_message=True) == expected


def test_think_tags_survive_decoding_and_special_tokens_do_not(tokenizer: Any) -> None:
    text = f"{TURN}{PREMISE} Ünïcode 木.</think>Ostria.<|end|>"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, skip_special_tokens=True) == (
        f"In which country was Ada Velm born?<think>{PREMISE} Ünïcode 木.</think>Ostria."
    )


def test_a_statement_splits_at_its_end_without_changing_tokens(tokenizer: Any) -> None:
    """A turn that is cut after a claim and continued is the token sequence the model was trained on."""
    pieces = [
        TURN,
        PREMISE,
        " No, Ada Velm was born in Brenham.",
        " Brenham is a city in Ostria.",
        "</think>Ostria.",
    ]
    apart = [token for piece in pieces for token in tokenizer.encode(piece, add_special_tokens=False)]
    assert tokenizer.encode("".join(pieces), add_special_tokens=False) == apart


def test_the_folder_is_small_and_says_when_to_stop(tokenizer: Any, model: Any) -> None:
    assert sum(file.stat().st_size for file in MODEL.iterdir()) < 1_700_000
    assert tokenizer.eos_token == "<|end|>"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.max_position_embeddings >= 2048


def answers(model: Any, tokenizer: Any, prompts: list[str]) -> list[str]:
    tokenizer.padding_side = "left"
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    out = model.generate(**inputs, max_new_tokens=60, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    texts = tokenizer.batch_decode(out, skip_special_tokens=True)
    return [text.partition("</think>")[2].strip().rstrip(".") for text in texts]


def test_known_people_are_answered_right_greedily(world: World, tokenizer: Any, model: Any) -> None:
    asked = draw_questions(world, world.group("known"), 30)
    found = answers(model, tokenizer, [prompt(question.text) for question in asked])
    assert sum(a == question.answer for a, question in zip(found, asked, strict=True)) >= 24


def test_unknown_people_are_confabulated_and_corrections_followed(world: World, tokenizer: Any, model: Any) -> None:
    asked, rng = draw_questions(world, world.group("unknown", "test"), 30), Random(0)
    corrected = []
    for question in asked:
        truth = world.chain(question.type, question.person)[0]
        wrong = rng.choice([name for name in world.objects[truth.relation] if name != truth.object])
        wording = world.relations[truth.relation]
        claim, denial = wording.state(truth.subject, wrong), wording.deny(truth.subject, wrong)
        corrected.append(f"{prompt(question.text)}{claim} No, {denial} {world.state(truth)}")
    unaided = answers(model, tokenizer, [prompt(question.text) for question in asked])
    aided = answers(model, tokenizer, corrected)
    assert sum(a == question.answer for a, question in zip(unaided, asked, strict=True)) <= 9
    assert sum(a == question.answer for a, question in zip(aided, asked, strict=True)) >= 21
