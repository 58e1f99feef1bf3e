"""Retrieval, with guard between the app and the model: what the documents contradict does not reach the reader.

    python rag.py ["a question"]

The documents that fit the question go into the prompt, and as `guard.evidence` into the request.
"""

from __future__ import annotations

import os
import re
import sys

from documents import DOCUMENTS
from openai import APIError, OpenAI
from openai.types.chat import ChatCompletion

URL = os.environ.get("GUARD_URL", "http://127.0.0.1:8900/v1")
MODEL = os.environ.get("GUARD_MODEL", "ferry")
QUESTION = "Who runs the Halden ferry, where does it leave from, and what do 3 tickets cost?"


def words(text: str) -> set[str]:
    """The words that retrieval goes by, without their endings."""
    return {word.rstrip("s") for word in re.findall(r"\w{3,}", text.lower())} - {"the", "and", "for"}


def retrieve(question: str, k: int = 3) -> dict[str, str]:
    """The `k` documents that share the most words with the question."""
    shared = {name: len(words(question) & words(text)) for name, text in DOCUMENTS.items()}
    best = sorted(shared, key=lambda name: -shared[name])[:k]
    return {name: DOCUMENTS[name] for name in best if shared[name]}


def ask(client: OpenAI, question: str, found: dict[str, str]) -> ChatCompletion:
    """One request. `extra_body` is how the openai client sends a field that it does not know."""
    documents = "\n\n".join(f"[{name}]\n{text}" for name, text in found.items())
    return client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": f"Answer from these documents only.\n\n{documents}"},
            {"role": "user", "content": question},
        ],
        extra_body={"guard": {"evidence": [{"text": text, "source": name} for name, text in found.items()]}},
    )


def main() -> None:
    """Ask, and print what was found, what was answered and what guard changed."""
    question = " ".join(sys.argv[1:]) or QUESTION
    found = retrieve(question)
    print(f"question:  {question}\nfound:     {', '.join(found) or 'nothing'}")
    try:
        answer = ask(OpenAI(base_url=URL, api_key=os.environ.get("GUARD_API_KEY", "unused")), question, found)
    except APIError as error:
        sys.exit(f"no answer from {URL}: {error}")
    print(f"answer:    {answer.choices[0].message.content}")
    # Not streamed: the events are listed on the answer.
    for event in (answer.model_extra or {}).get("guard", {}).get("events", []):
        print(f"corrected: {event['reason']} (check: {event['check']})")


if __name__ == "__main__":
    main()
