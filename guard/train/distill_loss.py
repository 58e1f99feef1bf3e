"""The loss of distillation from stored distributions, of which only the most probable outcomes are known.

Of a teacher distribution p only the top k of V outcomes are stored, so teacher and student are compared on
k + 1 outcomes: those k, and "any other token", whose probability is what is left over,

    p_rest = 1 - sum_i p_i        s_rest = sum of the student's s_j over the V - k other tokens

    loss = T^2 * sum_o q_o * (log q_o - log s'_o),   q = softmax(log p / T),   s' = softmax(log s / T),   o over k + 1

That is the whole Kullback-Leibler divergence where k = V, cross-entropy where the teacher is one-hot and T = 1, and
never more than the whole divergence at T = 1 (merging outcomes loses information, it adds none). The mass outside
matters: without it, all of the student's mass would be pushed into the k. T^2 keeps gradients of one size (Hinton et
al. 2015); with T other than 1 the rest is softened as one outcome, since nothing is known of what is in it. A
rest as small as the rounding of what was stored is noise, and T > 1 magnifies it.
"""

from __future__ import annotations

import torch

NOTHING = -1e30
"""The log of no probability: finite, so that it may be multiplied by 0 and has a gradient."""


def divergence(
    logits: torch.Tensor, ids: torch.Tensor, log_probs: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    """The loss above, one number a target.

    Args:
        logits: [targets, V], the student's.
        ids: [targets, k], the stored outcomes, distinct.
        log_probs: [targets, k], the teacher's; -inf where a target has fewer than k, whatever the id.
    """
    student, vocabulary = logits.float().log_softmax(-1), logits.shape[-1]
    stored = log_probs > -torch.inf
    # The student's rest is summed over the other tokens: 1 - sum would be 0 by rounding where the k are nearly all.
    inside = torch.zeros(len(ids), vocabulary + 1, dtype=torch.bool, device=ids.device)
    inside = inside.scatter(1, ids.masked_fill(~stored, vocabulary), True)[:, :vocabulary]
    rest = student.masked_fill(inside, NOTHING).logsumexp(-1, keepdim=True)
    told = student.gather(1, ids.masked_fill(~stored, 0)).masked_fill(~stored, NOTHING)
    s = (torch.cat([told, rest], 1) / temperature).log_softmax(-1)
    # Where every token is stored there is no other: what is left over is rounding.
    left = _rest(log_probs).masked_fill(inside.all(-1, keepdim=True), -torch.inf)
    q = (torch.cat([log_probs, left], 1) / temperature).log_softmax(-1)
    likely = q.exp()
    each = torch.where(likely > 0, likely * q, 0.0) - likely * s.clamp(min=NOTHING)
    return temperature**2 * each.sum(-1)


def _rest(log_probs: torch.Tensor) -> torch.Tensor:
    """[targets, 1]: log(1 - sum exp), -inf where the stored mass is 1, or by rounding more."""
    mass = log_probs.logsumexp(-1, keepdim=True).clamp(max=0.0)
    # log1mexp in two ranges, each exact in its own (Maechler 2012).
    near = torch.log(-torch.expm1(mass))
    return torch.where(mass > -0.693, near, torch.log1p(-mass.exp()))
