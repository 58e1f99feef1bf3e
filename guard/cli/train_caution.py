"""`guard train caution`: rows that say "I do not know", from what a policy model says when it is asked again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from guard.cli.progress import bar
from guard.cli.train_tuning import with_extra
from guard.errors import ConfigError

if TYPE_CHECKING:
    from guard.backends import Backend
    from guard.store import Store
    from guard.train.caution import Asking, Compare, Question
    from guard.train.caution_rows import Tally

Log = Annotated[str | None, typer.Option("--store", help="SQLAlchemy URL of the log of interruptions.")]
UPSTREAM = "Base URL of the policy model's server; of guard itself, with --model NAME@off."
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def caution(
    out: Annotated[Path, typer.Option(help="JSONL file to write; with --store, to add to.")],
    rows: Annotated[Path | None, typer.Option(help="Questions, JSON lines: messages, and answer if known.")] = None,
    store: Log = None,
    upstream: Annotated[str | None, typer.Option(help=UPSTREAM)] = None,
    model: Annotated[str | None, typer.Option(help="The policy model's name there.")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="Environment variable with the server's key.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Its tokenizer, to go on with turns exactly.")] = None,
    local: Annotated[Path | None, typer.Option(help="Folder of the policy model, instead of a server.")] = None,
    samples: Annotated[int, typer.Option(min=2, max=100, help="How often each question is put.")] = 8,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Agreement below which a model does not know.")] = 0.6,
    compare: Annotated[
        str, typer.Option(help="What must agree: answer, first (its first statement), reasoning (its first statement).")
    ] = "answer",
    text: Annotated[str, typer.Option(help="What to say instead.")] = "I do not know.",
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a sample.")] = 256,
    at_once: Annotated[int, typer.Option(min=1, help="Questions that are put at a time.")] = 4,
    seed: Annotated[int | None, typer.Option(min=0, help="Sent with every sample, another one each.")] = None,
    as_json: Json = False,
) -> None:
    """Write rows that say "I do not know" where the policy model, asked again, says something else each time.

    Its rows go to `corrections --replay` or `lesson --rows`.
    """
    from guard.cli.reading import print_json
    from guard.train.caution import Asking
    from guard.train.caution_rows import read_questions

    if not text.strip():
        raise ConfigError(f"--text {text!r}: a caution has to say something")
    how = Asking(
        model=model or "",
        samples=samples,
        max_tokens=max_tokens,
        at_once=at_once,
        threshold=threshold,
        compare=_compared(compare),
        text=text,
        seed=seed,
    )
    if (rows is None) == (store is None):
        raise ConfigError("say whom to ask about: --rows FILE of questions, or --store URL of the log")
    questions = None if rows is None else read_questions(rows)
    backend = _policy_model(upstream, model, api_key_env, tokenizer, local)
    tally, passed = asyncio.run(_cautions(backend, questions, store, how, out))
    found = {"counts": tally.counts, "passed_over": passed, "auc": tally.auc, "tokens": tally.spent}
    if as_json:
        print_json(found)
        return
    print(f"{sum(tally.counts.values())} questions: {counted(tally.counts)}")
    if passed:
        print(f"passed over: {counted(passed)}")
    print(f"agreement tells right from wrong with AUC {'-' if tally.auc is None else format(tally.auc, '.3f')}")
    print(f"{tally.spent} tokens spent; written: {out}")


def _compared(name: str) -> Compare:
    found: dict[str, Compare] = {"answer": "answer", "first": "first", "reasoning": "reasoning"}
    if name not in found:
        raise ConfigError(f"--compare {name!r} is none of {', '.join(found)}")
    return found[name]


def _policy_model(
    upstream: str | None, model: str | None, api_key_env: str | None, tokenizer: str | None, local: Path | None
) -> Backend:
    from guard import registry

    if (upstream is None) == (local is None):
        raise ConfigError("name the policy model: --upstream URL --model NAME, or --local DIR")
    if local is not None:
        if not local.is_dir():
            raise ConfigError(f"--local {str(local)!r}: there is no such folder; of a hub model, name its download")
        with with_extra():
            return registry.backend("transformers", {"model": str(local)}, "--local")
    if model is None:
        raise ConfigError("--upstream URL and --model NAME go together")
    options = {"base_url": upstream, "model": model, "api_key_env": api_key_env, "tokenizer": tokenizer}
    return registry.backend("openai", options, "--upstream")


async def _cautions(
    backend: Backend, questions: Sequence[Question] | None, url: str | None, how: Asking, out: Path
) -> tuple[Tally, Counter[str]]:
    from guard.cli.reading import existing
    from guard.train.caution_rows import logged

    passed: Counter[str] = Counter()
    if questions is not None:
        return await _asked(backend, questions, len(questions), how, out, None), passed
    store = existing(str(url))
    await store.open()
    try:
        records = logged(store.iter_interruptions(), passed)
        return await _asked(backend, records, await store.count(), how, out, store), passed
    finally:
        await store.close()


def _demand_new(out: Path) -> None:
    if out.exists() and out.stat().st_size:
        raise ConfigError(f"--out {str(out)!r} is there already; name a new file")


async def _asked(
    backend: Backend, questions: Iterable[Question], count: int, how: Asking, out: Path, store: Store | None
) -> Tally:
    from guard.train.caution_rows import build

    if store is None:
        _demand_new(out)
    # What the log says was measured is not asked again, so rows that were written then are kept.
    kept = _kept(out) if store is not None else frozenset()
    await backend.start()
    try:
        with _opened(out, "wb" if store is None else "ab") as file, bar("asking", count) as step:
            return await build(backend, questions, how, lambda row: _line(file.write, row), store, step, kept)
    finally:
        await backend.close()


def _kept(out: Path) -> frozenset[str]:
    from guard.train.caution_rows import prompt_of
    from guard.train.token_rows import lines

    return frozenset(prompt_of(row) for _, row in lines([out])) if out.exists() else frozenset()


def _opened(out: Path, mode: str) -> IO[Any]:
    """Unbuffered: a row is in the file before its record says that it was measured."""
    try:
        return out.open(mode, buffering=0)
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror}") from None


def _line(write: Callable[[bytes], Any], row: Mapping[str, Any]) -> None:
    write(msgspec.json.encode(row) + b"\n")


def counted(counts: Mapping[str, int]) -> str:
    """Counts by name, in words."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
