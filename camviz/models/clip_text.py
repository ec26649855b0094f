"""Models of images and words (CLIP, SigLIP): the half that sees, as a model, and what words are to the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camviz.errors import ModelError, RequestError

if TYPE_CHECKING:
    from torch import Tensor, nn

VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
TOKENIZERS = (*VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json")


def seeing(module: Any) -> nn.Module:
    """The same model with a forward from images (n, 3, H, W) to their embeddings (n, d).

    Its class is another one, so that layers keep their paths and copies hold nothing of the original.
    """

    def forward(self: Any, images: Tensor) -> Tensor:
        return _embedding(self.get_image_features(pixel_values=images))

    kind = type(module)
    module.__class__ = type(kind.__name__, (kind,), {"forward": forward})
    made: nn.Module = module
    return made


def words_of(module: Any, folder: Path, spec: str) -> Callable[[str], Tensor]:
    """What makes a text's embedding (d,), with the folder's own tokenizer, which is read when it is first needed."""

    @cache
    def tokenizer() -> Any:
        from transformers import AutoTokenizer

        hint = "tokenizer.json and tokenizer_config.json belong beside config.json; similar:REF.jpg needs none"
        if not any((folder / file).is_file() for file in VOCABULARIES):  # transformers would make one without words
            raise ModelError(f"no tokenizer in the folder of '{spec}', so it knows no words", hint)
        try:
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0][:200]
            raise ModelError(f"the tokenizer of '{spec}' cannot be had: {reason}", hint) from error

    def words(text: str) -> Tensor:
        import torch

        tokens = _tokens(tokenizer(), text, module.config, spec)
        device = next(module.parameters()).device
        with torch.no_grad():
            return _embedding(module.get_text_features(**{key: value.to(device) for key, value in tokens.items()}))[0]

    return words


def _tokens(tokenizer: Any, text: str, config: Any, spec: str) -> dict[str, Tensor]:
    """The tokens of a text; SigLIP was trained on texts padded to their full length, without a mask."""
    longest = int(getattr(config.text_config, "max_position_embeddings", 0) or tokenizer.model_max_length)
    count = len(tokenizer(text)["input_ids"])
    if count > longest:
        raise RequestError(
            f"'text:{text}' is {count} tokens, '{spec}' reads {longest}", "say it in fewer words: 'text:a red car'"
        )
    full = "siglip" in str(config.model_type)
    padding = {"padding": "max_length", "max_length": longest} if full else {}
    found = tokenizer(text, return_tensors="pt", **padding)
    unread = ("attention_mask", "token_type_ids") if full else ()
    return {key: value for key, value in found.items() if key not in unread}


def _embedding(found: Any) -> Tensor:
    """(n, d): transformers 4 gives it itself, transformers 5 what it was pooled from as well."""
    pooled: Tensor = getattr(found, "pooler_output", found)
    return pooled
