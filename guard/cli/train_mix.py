"""`guard train mix`: documents mixed into a corpus, the size kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from guard.train.mix import Report


def mix(
    documents: Annotated[Path, typer.Option(help="What `guard export documents` wrote, or other JSON lines.")],
    corpus: Annotated[Path, typer.Option(help="JSON lines with `text`, or text with blank lines between rows.")],
    rate: Annotated[float, typer.Option(help="Share of the mix that is documents: 0.02 is two in a hundred.")],
    out: Annotated[Path, typer.Option(help="JSONL file to write.")],
    tokenizer: Annotated[
        str | None, typer.Option(help="Measure in its tokens, not in characters: a directory or a hub name.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same mix.")] = 0,
) -> None:
    """Put documents in the place of a share of a corpus, for pre-training."""
    from guard.train.mix import mix as write

    size = _counter(tokenizer) if tokenizer else len
    report = write(documents, corpus, rate, out, seed=seed, size=size)
    print(said(report, rate, "tokens" if tokenizer else "characters", out))


def said(report: Report, rate: float, unit: str, out: Path) -> str:
    """The report in three lines."""
    return "\n".join(
        (
            f"{report.rows:,} rows in {out}, {report.size:,} {unit} (the corpus has {report.of_corpus:,})",
            f"{report.documents:,} are documents, {report.share:.2%} of the {unit} ({rate:.2%} wanted), "
            f"in the place of {report.replaced:,} rows of the corpus",
            f"each of {report.different:,} documents is in it {report.repeats:.2g} times on average",
        )
    )


def _counter(name: str) -> Any:
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise MissingExtra("--tokenizer needs transformers: pip install 'premise-guard[local]'") from None
    try:
        loaded = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ConfigError(f"--tokenizer {name!r} cannot be loaded: {str(error).splitlines()[0]}") from None

    def count(text: str) -> int:
        return len(loaded(text.encode(errors="replace").decode(), add_special_tokens=False)["input_ids"])

    return count
