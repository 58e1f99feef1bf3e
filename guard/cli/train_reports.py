"""What the fine-tuning commands print: their reports, in a few lines each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guard.train import corrections, distill, elasticity, preference


def corrections_said(report: corrections.Report) -> str:
    """Shares as they were reached, the loss, and what became of corrections and masked claims."""
    before, after = report.before, report.after
    return "\n".join(
        (
            *(
                f"{name:12}{got.rows:>7} rows, {got.distinct} distinct: {got.row_share:.3f} of the rows, "
                f"{got.token_share:.3f} of the tokens, {got.target_share:.3f} of what is learnt"
                for name, got in report.shares.items()
                if got.rows
            ),
            *_left_out(report.too_long),
            _course(report.steps, report.losses),
            f"mean log-probability a token, on {after.rows} corrections:",
            f"  what is learnt {before.targets:8.3f} -> {after.targets:.3f}",
            f"  masked claims  {before.claims:8.3f} -> {after.claims:.3f}   (masking is not unlearning)",
        )
    )


def preference_said(report: preference.Report) -> str:
    """Rewards and log-probabilities before and after."""
    before, after = report.before, report.after
    return "\n".join(
        (
            *_left_out(report.left_out),
            _course(report.steps, report.losses),
            f"on the {report.pairs} pairs:",
            f"  rewards/accuracies {before.accuracy:8.3f} -> {after.accuracy:.3f}",
            f"  chosen preferred   {before.preferred:8.3f} -> {after.preferred:.3f}",
            f"  log-prob chosen    {before.log_prob_chosen:8.2f} -> {after.log_prob_chosen:.2f}",
            f"  log-prob rejected  {before.log_prob_rejected:8.2f} -> {after.log_prob_rejected:.2f}",
        )
    )


def distill_said(report: distill.Report) -> str:
    """What was taught, and both losses before and after."""
    before, after = report.before, report.after
    return "\n".join(
        (
            *_left_out({"rows": report.too_long}),
            _course(report.steps, report.losses),
            f"{report.rows} rows, {report.targets} targets, {report.one_hot_targets} of them one-hot "
            "(what guard put in, and the ends of turns); "
            f"{report.stored_mass:.3f} of the probability is stored; taught: {report.taught}",
            f"  divergence    {before.divergence:8.4f} -> {after.divergence:.4f}",
            f"  cross-entropy {before.cross_entropy:8.4f} -> {after.cross_entropy:.4f}",
        )
    )


def elasticity_said(report: elasticity.Report) -> str:
    """The curve, a line a measurement, and the half-life."""
    word, half = report.word, report.half_life
    heads = ("step", "tokens", f"P({word}|wrong)", f"P({word}|right)", "AUC", "of start")
    told = "not reached" if half is None else f"{half.steps:.1f} steps, {half.tokens:.0f} tokens"
    return "\n".join(
        (
            *_left_out(report.too_long),
            _course(report.steps, report.losses),
            "".join(f"{head:>14}" for head in heads),
            *map(_point, report.curve),
            f"half-life of P({word}|wrong): {told}",
        )
    )


def figure(value: float) -> str:
    """Three decimals; below 0.01 two significant digits, since P(word) may be small and still differ."""
    return f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"


def _point(point: elasticity.Point) -> str:
    of_start = "-" if point.of_start is None else figure(point.of_start)
    cells = (point.step, point.tokens, *map(figure, (point.p_wrong, point.p_right, point.auc)), of_start)
    return "".join(f"{cell:>14}" for cell in cells)


def _left_out(counts: Mapping[str, int]) -> list[str]:
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return [f"left out, too long or not usable: {told}"] if told else []


def _course(steps: int, losses: Sequence[Mapping[str, float]]) -> str:
    course = f"{losses[0]['loss']:.4f} -> {losses[-1]['loss']:.4f}"
    return f"{steps} steps, loss {course} (of the first and of the last batches that were logged)"
