"""`guard transcripts`: ideal transcripts, written by one model, reviewed by many criteria, kept where all are met."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.errors import ConfigError

if TYPE_CHECKING:
    from guard.settings import Settings
    from guard.train.transcripts.costs import Prices
    from guard.train.transcripts.journal import Journal
    from guard.train.transcripts.questions import Question
    from guard.train.transcripts.run import Run

WORLD_TURNS = (("unknown", False), ("known", False), ("unknown", True), ("tail", False))
"""Whom the questions of the closed world are about, by turns, and whether the facts are withheld: in one of four."""

MAX_TOKENS, WORLD_MAX_TOKENS = 2048, 96
_WHYS = 5
"""Kinds of failure that are told."""

Read = Annotated[float | None, typer.Option(min=0, help="Money for a million tokens read.")]
Written = Annotated[float | None, typer.Option(min=0, help="Money for a million tokens written.")]


def transcripts(
    questions: Annotated[Path | None, typer.Argument(metavar="QUESTIONS", help="Questions, JSON lines.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write, and to go on in.")] = None,
    rubric: Annotated[str | None, typer.Option(help="general, closed_world, or a YAML file.")] = None,
    world: Annotated[bool, typer.Option("--world", help="Questions and facts of the built-in closed world.")] = False,
    config: Annotated[Path | None, typer.Option(help="A guard.yaml: its models, supervisor and facts.")] = None,
    upstream: Annotated[str | None, typer.Option(help="Base URL of the server of the model that writes.")] = None,
    model: Annotated[str | None, typer.Option(help="Its name there, or in the configuration.")] = None,
    reviewer: Annotated[str | None, typer.Option(help="Base URL of the server of the model that reviews.")] = None,
    reviewer_model: Annotated[str | None, typer.Option(help="That model's name there.")] = None,
    facts: Annotated[list[Path] | None, typer.Option(help="Facts file, JSONL or SQLite; may be repeated.")] = None,
    retrieval: Annotated[str, typer.Option(help="auto, calls (tools) or notes (facts before the question).")] = "auto",
    instructions: Annotated[Path | None, typer.Option(help="File with what the model is told first.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="Rounds of tool calls at most.")] = 4,
    n: Annotated[int | None, typer.Option(min=1, help="The first N; all, or 40 with --world.")] = None,
    samples: Annotated[int, typer.Option(min=1, max=1000, help="Transcripts of each question.")] = 1,
    at_once: Annotated[int, typer.Option(min=1, max=256, help="Transcripts in the making at a time.")] = 8,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="Without it, the server's own.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of an answer; 2048, or 96 with --world.")] = None,
    seed: Annotated[int | None, typer.Option(help="Sent with every request; none, or 0 with --world.")] = None,
    tokenizer: Annotated[str | None, typer.Option(help="Add token rows for this model: a directory or name.")] = None,
    budget_tokens: Annotated[
        int, typer.Option(min=0, help="More than so many expected tokens need --yes.")
    ] = 1_000_000,
    yes: Annotated[bool, typer.Option("--yes", help="Spend what is expected.")] = False,
    price_in: Read = None,
    price_out: Written = None,
    reviewer_price_in: Read = None,
    reviewer_price_out: Written = None,
) -> None:
    """Write ideal transcripts and review them; what is done already is not done again."""
    from guard.train.transcripts.job import Wanted, build
    from guard.train.transcripts.run import Run

    if out is None:
        raise ConfigError("--out DIR is needed: the folder to write, and to go on in")
    settings = _settings(world, config, upstream, model, reviewer, reviewer_model, facts or [])
    asked = _questions(questions, world, n, seed or 0)
    fields = {"temperature": temperature, "max_tokens": max_tokens or (WORLD_MAX_TOKENS if world else MAX_TOKENS)}
    wanted = Wanted(
        rubric=rubric or ("closed_world" if world else "general"),
        model=None if upstream else model,
        samples=samples,
        at_once=at_once,
        retrieval=retrieval,
        rounds=rounds,
        instructions=_instructions(instructions, world),
        fields={name: value for name, value in fields.items() if value is not None},
        seed=0 if seed is None and world else seed,
    )
    prices = _prices((price_in, price_out), (reviewer_price_in, reviewer_price_out))
    job = build(settings, asked, wanted)
    with _opened(out) as journal:
        _run(Run(job, journal), out, tokenizer, prices, (budget_tokens, yes))


def _settings(
    world: bool,
    config: Path | None,
    upstream: str | None,
    model: str | None,
    reviewer: str | None,
    reviewer_model: str | None,
    facts: list[Path],
) -> Settings:
    """What the words mean for `guard serve`; the built-in model writes only where --world asks for it."""
    from guard.cli.serving import Overrides, settings_for

    if not (world or config or upstream):
        raise ConfigError("name the model that writes: --upstream URL --model NAME, or --config FILE")
    if upstream is not None and model is None:
        raise ConfigError("--upstream URL and --model NAME go together: no client names that model")
    overrides = Overrides(
        upstream=upstream,
        model=model if upstream else None,
        supervisor=reviewer,
        supervisor_model=reviewer_model,
        facts=tuple(facts),
    )
    settings = settings_for(config, overrides)
    if world and not facts:
        from guard.settings import WORLD

        return settings.model_copy(update={"facts": (WORLD / "facts.jsonl",)})
    return settings


def _questions(file: Path | None, world: bool, n: int | None, seed: int) -> list[Question]:
    from guard.train.transcripts.questions import read_questions

    if (file is None) != world:
        raise ConfigError("name a file of questions, or say --world" + (", not both" if world else ""))
    return world_questions(n or 40, seed) if file is None else read_questions(file)[:n]


def world_questions(n: int, seed: int) -> list[Question]:
    """`n` questions about people of the closed world's training split, of every type; the same for the same seed."""
    from guard.train.transcripts.questions import asked
    from guard.world.world import QUESTIONS, load_world

    known, rng, types = load_world(), Random(seed), list(QUESTIONS)
    found = []
    for number in range(n):
        group, withheld = WORLD_TURNS[number % len(WORLD_TURNS)]
        question = known.ask(rng.choice(types), rng.choice(known.group(group, "train")), rng)
        found.append(asked(question.text, id=f"{number}", answer=question.answer, withheld=withheld))
    return found


def _instructions(file: Path | None, world: bool) -> str:
    """Nothing for the built-in world's model, which has learnt questions alone."""
    from guard.train.transcripts.generator import INSTRUCTIONS

    if file is None:
        return "" if world else INSTRUCTIONS
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"--instructions {str(file)!r} cannot be read: {error}") from None


def _prices(own: tuple[float | None, float | None], reviewer: tuple[float | None, float | None]) -> dict[str, Prices]:
    """By role, for tokens read and written; where the reviewer has none of its own, the generator's."""
    from guard.train.transcripts.costs import Prices

    if own == reviewer == (None, None):
        return {}
    read, written = (price or 0 for price in own)
    theirs = [mine if price is None else price for mine, price in zip((read, written), reviewer, strict=True)]
    return {"generator": Prices(read=read, written=written), "reviewer": Prices(read=theirs[0], written=theirs[1])}


def _opened(out: Path) -> Journal:
    from guard.train.transcripts.journal import Journal

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror}") from None
    return Journal(out / "journal.jsonl")


def _run(run: Run, out: Path, tokenizer: str | None, prices: dict[str, Prices], budget: tuple[int, bool]) -> None:
    from guard.cli.reading import printable
    from guard.train.transcripts.costs import affordable
    from guard.train.transcripts.output import write
    from guard.train.transcripts.tokens import load_tokenizer

    expected = run.expected()
    loaded = load_tokenizer(tokenizer) if tokenizer else None
    print(f"guard: {expected}", file=sys.stderr)
    affordable(expected, *budget)
    if expected.review:
        with _bar(expected.review) as step:
            asyncio.run(_asked(run, step))
    document = write(out, run, prices, loaded)
    print(said(document))
    print(f"written: {out}")
    for why, times in run.failed.most_common(_WHYS):
        print(
            f"guard: {printable(why)} ({times} times); what is missing is tried again by the next run", file=sys.stderr
        )
    if run.failed:
        raise typer.Exit(1)


async def _asked(run: Run, step: Callable[[], None]) -> None:
    """The run, with its models started and closed again."""
    async with AsyncExitStack() as stack:
        for caller in (run.job.generator.caller, run.job.reviewer.caller):
            if caller is not None:
                stack.push_async_callback(caller.backend.close)
                await caller.backend.start()
        await run.go(step)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("transcripts", total=total)
        yield lambda: progress.advance(task)


def said(report: dict[str, Any]) -> str:
    """The report in a few lines."""
    from guard.cli.reading import printable

    lines = [f"rubric {report['rubric']}: {report['all']['transcripts']} of {report['wanted']} transcripts are there"]
    for name, words in (("all", "passed"), ("facts_given", "facts given"), ("facts_withheld", "facts withheld")):
        counts = report[name]
        lines += [f"  {words:24} {_share(counts['passed'], counts['transcripts'])}"] if counts["transcripts"] else []
    for why, times in report["no_transcript"].items():
        lines.append(f"  {times} not reviewed: {printable(why)}")
    for name, counts in report["criteria"].items():
        applied = counts["passed"] + counts["failed"] + counts["unreviewed"]
        missing = f", {counts['unreviewed']} unreviewed" if counts["unreviewed"] else ""
        lines.append(f"  {name:24} {_share(counts['passed'], applied)}{missing}")
    for role in ("generator", "reviewer"):
        lines += [f"  {role}: {_cost(report['cost'][role])}"] if report["cost"][role]["calls"] else []
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part:5} of {whole:5}  {part / whole:.3f}" if whole else "          does not apply"


def _cost(counts: dict[str, Any]) -> str:
    guessed = " (estimated)" if counts["estimated"] else ""
    money = f", cost {counts['cost']:g}" if "cost" in counts else ""
    read, written = counts["prompt_tokens"], counts["completion_tokens"]
    return f"{counts['calls']} calls, {read} tokens read, {written} written{guessed}{money}"
