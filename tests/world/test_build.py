"""Packing keeps documents apart, and the loss counts nothing but what is to be learnt."""

from random import Random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from guard.world.build import make_model, make_tokenizer
from guard.world.corpus import base_row, listen_row
from guard.world.learning import Batch, Sample, loss, pack
from guard.world.world import load_world


def test_packing_restarts_the_positions() -> None:
    rows = [Sample(ids=[id_] * n, weights=[weight] * n) for id_, n, weight in ((7, 3, 1.0), (8, 4, 0.0), (9, 6, 1.0))]
    batch = pack(iter(rows), count=2, length=8)
    assert batch.ids.tolist() == [[7, 7, 7, 8, 8, 8, 8, 0], [9, 9, 9, 9, 9, 9, 0, 0]]
    assert batch.positions[0].tolist() == [0, 1, 2, 0, 1, 2, 3, 0]
    assert batch.weights[0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]


def test_the_loss_sees_no_other_document_and_nothing_unlearnt() -> None:
    torch.set_num_threads(1)
    tokenizer = make_tokenizer(load_world())
    model = make_model(tokenizer)
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    positions = torch.tensor([[0, 1, 2, 0, 1, 2]])
    weights = torch.tensor([[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]])
    changed = ids.clone()
    changed[0, :3] = torch.tensor([20, 21, 22])
    losses = [loss(model, Batch(ids=x, weights=weights, positions=positions)).item() for x in (ids, changed)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_rows_tokenise_piece_by_piece_as_they_do_whole() -> None:
    world, rng = load_world(), Random(0)
    tokenizer = make_tokenizer(world)
    for draw in (base_row, listen_row):
        for _ in range(100):
            texts = [text for text, _ in draw(world, rng)]
            apart = [token for text in texts for token in tokenizer.encode(text, add_special_tokens=False)]
            assert tokenizer.encode("".join(texts), add_special_tokens=False) == apart
