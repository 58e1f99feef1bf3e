"""Any server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, Ollama, transformers serve, hosted APIs.

The format is `guard.chat`'s. Here `template` renders prompts, `upstream` and `stream` do the network, `turn` and
`backend` join them. It does not know policies, checks or clients.

How a cut turn goes on, first that applies: `tool_answers` where calls were made; `text_exact` (chat template rendered
here, sent to `/completions`) with a tokenizer and a request that asks neither for tools nor for an output format;
else `reask`. Its rules stand at the top of each module.
"""

from guard.backends.openai.backend import OpenAIBackend
from guard.backends.openai.options import OpenAIOptions

plugin = OpenAIBackend

__all__ = ["OpenAIBackend", "OpenAIOptions", "plugin"]
