"""`guard world measure`: the closed world's figures, from a running server or one started for the purpose."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from guard.cli.demo import serving
from guard.world.measure import Endpoint, Figures

SEEDS = (0, 1, 2)


def report(n: int, url: str | None, as_json: bool) -> None:
    """Measure and print: JSON, or a table of mean and standard deviation over three sampling seeds."""
    figures = asyncio.run(_measure(n, url))
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(figures)).decode() + "\n")
        return
    names = list(next(iter(figures.values())))
    print(f"{'':14}" + "".join(f"{name:>22}" for name in names))
    for mode, row in figures.items():
        cells = (f"{row[name]['mean']:.3f} ± {row[name]['sd']:.3f}" for name in names)
        print(f"{mode:14}" + "".join(f"{cell:>22}" for cell in cells))


async def _measure(n: int, url: str | None) -> Figures:
    if url is not None:
        return await Endpoint(url=url).measure(n, SEEDS)
    async with serving() as own:
        return await Endpoint(url=own).measure(n, SEEDS)
