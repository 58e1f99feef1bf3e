"""The encoder of `grounding` as a network: a small BERT with a head on every token and one on the statement.

Fitting it, asking it, and writing it down for ONNX Runtime with eight-bit weights. Knows rows of tokens and labels, not
where they come from. Runs in bfloat16 on one CPU at some 8,000 tokens a second (two cores, AVX-512), and on a GPU where
there is one.

Losses: binary cross entropy of the statement and of its tokens, added. No dropout: with two or three passes over the
rows it only slows (measured: half the speed). The embeddings stay as they are.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import AutoModel

from guard.train.encoder_rows import Row

RATE, HEAD_RATE = 2e-4, 1e-3
WARM_UP = 60
BATCH = 32
BUCKET = 24
"""Batches that are filled together, so that rows of like length meet."""
TOKEN_WEIGHT = 1.5
"""What a wrong token weighs against a right one: they are few."""
Batch = dict[str, torch.Tensor]
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Logits:
    """What the network says of a row: log odds that the statement is bad, and that each of its tokens is."""

    statement: float
    tokens: NDArray[np.float32]


class Encoder(nn.Module):
    """`forward(ids, types, mask, said)`, each (rows, tokens): log odds of tokens (rows, tokens) and statements (rows).

    `said` is 1 where a token is the statement's own. The statement's head sees [CLS] and the mean of its tokens.
    """

    def __init__(self, start: Path) -> None:
        super().__init__()
        self.body = AutoModel.from_pretrained(
            str(start),
            attn_implementation="eager",
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            add_pooling_layer=False,
            use_safetensors=True,
        )
        width = self.body.config.hidden_size
        self.token = nn.Linear(width, 1)
        self.statement = nn.Linear(2 * width, 1)
        for weight in self.body.embeddings.parameters():
            weight.requires_grad = False

    def forward(
        self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor, said: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See the class."""
        hidden = self.body(input_ids=ids, token_type_ids=types, attention_mask=mask).last_hidden_state.float()
        weight = said.float().unsqueeze(-1)
        mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
        return self.token(hidden).squeeze(-1), self.statement(torch.cat([hidden[:, 0], mean], 1)).squeeze(-1)


def collate(rows: Sequence[Row]) -> Batch:
    """Rows as tensors (rows, longest); `labels` of tokens are -1 where there are none."""
    longest = max(len(row.pair.ids) for row in rows)
    shape = (len(rows), longest)
    out = {name: torch.zeros(shape, dtype=torch.long) for name in ("ids", "types", "mask", "said")}
    labels = torch.full(shape, -1.0)
    for at, row in enumerate(rows):
        n, own = len(row.pair.ids), len(row.pair.offsets)
        out["ids"][at, :n] = torch.tensor(row.pair.ids)
        out["types"][at, :n] = torch.tensor(row.pair.types)
        out["mask"][at, :n] = 1
        out["said"][at, 1 : 1 + own] = 1
        if row.tokens is not None:
            labels[at, 1 : 1 + own] = torch.tensor(row.tokens, dtype=torch.float)
    return out | {"labels": labels, "bad": torch.tensor([float(row.bad) for row in rows])}


def batches(rows: Sequence[Row], rng: random.Random) -> Iterator[Sequence[Row]]:
    """All rows once, in batches of rows of like length, in random order."""
    order = rng.sample(rows, len(rows))
    out = []
    for at in range(0, len(order), BATCH * BUCKET):
        some = sorted(order[at : at + BATCH * BUCKET], key=lambda row: len(row.pair.ids))
        out += [some[first : first + BATCH] for first in range(0, len(some), BATCH)]
    yield from rng.sample(out, len(out))


def fit(epochs: Sequence[Sequence[Row]], start: Path, seed: int, told: Told) -> Encoder:
    """A network fitted to the rows of each epoch in turn, from the weights in the folder `start`."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    plan = [batch for rows in epochs for batch in batches(rows, rng)]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = Encoder(start).to(device).train()
    body = [weight for weight in net.body.parameters() if weight.requires_grad]
    heads = [*net.token.parameters(), *net.statement.parameters()]
    optimiser = torch.optim.AdamW([{"params": body, "lr": RATE}, {"params": heads, "lr": HEAD_RATE}], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / WARM_UP) * max(0.02, 1 - step / len(plan))
    )
    for step, rows in enumerate(plan):
        loss = _loss(net, {name: part.to(device) for name, part in collate(rows).items()}, device)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(body, 1.0)
        optimiser.step()
        schedule.step()
        told(f"step {step + 1} of {len(plan)}, loss {loss.item():.3f}")
    return net.eval().cpu()


def _loss(net: Encoder, batch: Batch, device: str) -> torch.Tensor:
    with torch.autocast(device, dtype=torch.bfloat16):
        tokens, statements = net(batch["ids"], batch["types"], batch["mask"], batch["said"])
    loss = functional.binary_cross_entropy_with_logits(statements.float(), batch["bad"])
    known = batch["labels"] >= 0
    if known.any():
        loss = loss + functional.binary_cross_entropy_with_logits(
            tokens[known].float(), batch["labels"][known], pos_weight=torch.tensor(TOKEN_WEIGHT, device=device)
        )
    return loss


@torch.no_grad()
def ask(net: Encoder, rows: Sequence[Row], told: Told) -> list[Logits]:
    """What the network says of rows, in their order."""
    order = sorted(range(len(rows)), key=lambda at: len(rows[at].pair.ids))
    out: list[Logits | None] = [None] * len(rows)
    for first in range(0, len(order), 2 * BATCH):
        part = order[first : first + 2 * BATCH]
        batch = collate([rows[at] for at in part])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            tokens, statements = net(batch["ids"], batch["types"], batch["mask"], batch["said"])
        for at, own, whole in zip(part, tokens.float().numpy(), statements.float().tolist(), strict=True):
            out[at] = Logits(whole, own[1 : 1 + len(rows[at].pair.offsets)])
        told(f"asked {first + len(part)} of {len(rows)}")
    return [each for each in out if each is not None]


def export(net: Encoder, rows: Sequence[Row], path: Path, about: Mapping[str, str]) -> None:
    """Write the network to `path` as ONNX with eight-bit weights; `rows` are an example of what it reads."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    batch = collate(rows)
    names = ["ids", "types", "mask", "said"]
    whole = path.with_suffix(".float.onnx")
    axes = {name: {0: "rows", 1: "tokens"} for name in (*names, "token")} | {"statement": {0: "rows"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about itself
        torch.onnx.export(
            net.float(),
            tuple(batch[name] for name in names),
            str(whole),
            input_names=names,
            output_names=["token", "statement"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
    quantize_dynamic(str(whole), str(path), weight_type=QuantType.QInt8, per_channel=True)
    whole.unlink()
    model: Any = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(about))
    onnx.save(model, str(path))
