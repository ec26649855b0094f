"""CLIP and SigLIP: the text encoder as a function of a text."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camviz.errors import ModelError, RequestError

if TYPE_CHECKING:
    from torch import Tensor

VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
TOKENIZERS = (*VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json")


def text_encoder(module: Any, folder: Path, spec: str) -> Callable[[str], Tensor]:
    """Return a function from a text to its embedding (d,); the folder's tokenizer is read at the first call."""

    @cache
    def tokenizer() -> Any:
        from transformers import AutoTokenizer

        hint = "put tokenizer.json and tokenizer_config.json beside config.json; --target similar:REF.jpg needs none"
        if not any((folder / file).is_file() for file in VOCABULARIES):  # else the vocabulary is empty
            raise ModelError(f"no tokenizer in the folder of '{spec}'", hint)
        try:
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0][:200]
            raise ModelError(f"the tokenizer of '{spec}' does not load: {reason}", hint) from error

    def encode(text: str) -> Tensor:
        import torch

        tokens = _tokens(tokenizer(), text, module.config, spec)
        device = next(module.parameters()).device
        with torch.no_grad():
            return _embedding(module.get_text_features(**{key: value.to(device) for key, value in tokens.items()}))[0]

    return encode


def _tokens(tokenizer: Any, text: str, config: Any, spec: str) -> dict[str, Tensor]:
    """Tokenize a text; SigLIP was trained on texts padded to the full length, without a mask."""
    longest = int(getattr(config.text_config, "max_position_embeddings", 0) or tokenizer.model_max_length)
    count = len(tokenizer(text)["input_ids"])
    if count > longest:
        raise RequestError(
            f"'text:{text}' has {count} tokens, the limit of '{spec}' is {longest}",
            "use a shorter text: 'text:a red car'",
        )
    full = "siglip" in str(config.model_type)
    padding = {"padding": "max_length", "max_length": longest} if full else {}
    encoded = tokenizer(text, return_tensors="pt", **padding)
    unread = ("attention_mask", "token_type_ids") if full else ()
    return {key: value for key, value in encoded.items() if key not in unread}


def _embedding(output: Any) -> Tensor:
    """Return the embeddings (n, d): transformers 5 wraps them in an output with a `pooler_output`."""
    pooled: Tensor = getattr(output, "pooler_output", output)
    return pooled
