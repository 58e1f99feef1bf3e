"""A tiny Qwen3 model directory as a GGUF file, so that llama.cpp serves the very model that the built-in backend runs.

Knows the safetensors and tokenizers files and the names that GGUF gives their parts; knows no server. Only what such a
directory holds is written: byte-level BPE, full attention, float16 weights; anything else is refused.
"""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

Json = dict[str, Any]
_NORM = re.compile(r"norm\.weight$")
# `{% generation %}` marks what is trained on; llama.cpp's template engine does not know it.
_TRAINING_MARKS = re.compile(r"{%-?\s*(?:end)?generation\s*-?%}")


def write_gguf(model: Path, out: Path) -> None:
    """Write `model`, a Hugging Face directory, to the file `out`. Raises ValueError if it is not a plain Qwen3."""
    gguf = importlib.import_module("gguf")
    config = _read(model / "config.json")
    if config["model_type"] != "qwen3" or set(config["layer_types"]) != {"full_attention"}:
        raise ValueError(f"{model} is not a Qwen3 model with full attention")
    writer = gguf.GGUFWriter(out, "qwen3")
    _add_shape(writer, config)
    _add_tokenizer(writer, gguf.TokenType, model, config)
    _add_tensors(writer, gguf, model, config["num_hidden_layers"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _read(path: Path) -> Json:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _add_shape(writer: Any, config: Json) -> None:
    writer.add_name("guard-world")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def _add_tokenizer(writer: Any, kinds: Any, model: Path, config: Json) -> None:
    document = _read(model / "tokenizer.json")
    if document["model"]["type"] != "BPE" or document["pre_tokenizer"]["type"] != "ByteLevel":
        raise ValueError(f"{model} has no byte-level BPE tokenizer")
    tokens = {index: text for text, index in document["model"]["vocab"].items()}
    types = dict.fromkeys(tokens, kinds.NORMAL)
    for added in document["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = kinds.CONTROL if added["special"] else kinds.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([tokens[index] for index in range(config["vocab_size"])])
    writer.add_token_types([types[index] for index in range(config["vocab_size"])])
    writer.add_token_merges([" ".join(pair) for pair in document["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
    template = (model / "chat_template.jinja").read_text(encoding="utf-8")
    writer.add_chat_template(_TRAINING_MARKS.sub("", template))


def _add_tensors(writer: Any, gguf: Any, model: Path, layers: int) -> None:
    """Qwen3 rotates as llama.cpp does, so that queries and keys stay as they are; norms must be float32."""
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, layers)
    for name, tensor in load_file(model / "model.safetensors").items():
        kind = np.float32 if _NORM.search(name) else np.float16
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), tensor.astype(kind))
