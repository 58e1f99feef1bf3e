"""Any server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, Ollama, transformers serve, hosted APIs.

The format is `guard.chat`'s. Here `template` renders prompts, `upstream` and `stream` do the network, `turn` and
`backend` join them. It does not know policies, checks or clients.

How a cut turn goes on, the first that keeps what the request asked for (`ways`): `tool_answers` where calls were made;
`token_exact` (the ids that the server told, where that is configured) and `text_exact` (the chat template rendered
here) at `/completions` with a tokenizer, for requests that ask neither for tools nor for an output format;
`field_prefill` (the message so far is sent to be gone on with) where trying has shown that the server does so
(`probe`); else `reask`.
"""

from guard.backends.openai.backend import OpenAIBackend
from guard.backends.openai.options import OpenAIOptions

plugin = OpenAIBackend

__all__ = ["OpenAIBackend", "OpenAIOptions", "plugin"]
