"""Models of open_clip: the image encoder, with its text encoder for --target text:PROMPT."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camviz.errors import ModelError, RequestError, UnknownName, WeightsError, first_of, match, unknown
from camviz.models.sources import LISTINGS, SOURCES, Offer, Plan, installed, need
from camviz.types import Model, ModelRequest, Preprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn


@SOURCES.add("open_clip", offers="image and text encoders of open_clip, by name", runs_code="no")
def open_clip(name: str, request: ModelRequest) -> Plan:
    """NAME as open_clip lists it, such as ViT-B-32; --weights takes its tags, "default" is the first of them."""
    spec = f"open_clip:{name}"
    need("open_clip", "open_clip", spec)
    known = _names()
    name = match("model", name, known) or name
    if name not in known:
        raise unknown("model", spec, [f"open_clip:{entry}" for entry in known], listing="'camviz models open_clip:'")
    return Plan(spec, lambda: _build(spec, name, request), (), lambda: _build(spec, name, request), "embedding")


def _names() -> list[str]:
    """Return the names of the configurations in the installed package, which is not imported."""
    found = importlib.util.find_spec("open_clip")
    folders = (found.submodule_search_locations or []) if found else []
    return sorted(path.stem for folder in folders for path in Path(folder, "model_configs").glob("*.json"))


def _build(spec: str, name: str, request: ModelRequest) -> Model:
    import open_clip as library

    tag = _tag(library, spec, name, request)
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it warns of the untrained weights that --weights none asks for
    try:
        module = library.create_model(name, pretrained=tag or None, force_image_size=_side(request))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        if not tag:
            raise ModelError(f"open_clip cannot build '{spec}': {reason}", "another --model") from error
        raise WeightsError(
            f"cannot get the weights '{tag}' of '{spec}' ({reason})", "--checkpoint FILE, or --weights none"
        ) from error
    finally:
        logging.root.setLevel(level)
    how = _preprocessing(library.get_model_preprocess_cfg(module))
    return Model(spec, _image_encoder(module), how, (), "embedding", embed_text=_text_encoder(library, name, module))


def _side(request: ModelRequest) -> tuple[int, int] | None:
    return request.input_size[::-1] if request.input_size else None


def _tag(library: Any, spec: str, name: str, request: ModelRequest) -> str:
    """Return the tag of the weights to get, "" for none."""
    if request.checkpoint or request.weights == "none":
        return ""
    tags: list[str] = library.list_pretrained_tags_by_model(name)
    if request.weights != "default":
        if request.weights not in tags:
            raise UnknownName(
                f"no weights '{request.weights}' for {spec}", f"there are {first_of([*tags, 'none'], 12)}"
            )
        return request.weights
    if not tags:
        raise WeightsError(f"open_clip has no weights for '{spec}'", "--weights none, or --checkpoint FILE")
    return tags[0]


def _preprocessing(config: dict[str, Any]) -> Preprocessing:
    """Return open_clip's evaluation transform: the short side and a center crop, or squashed."""
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    resize = None if config.get("resize_mode") == "squash" else min(height, width)
    kind: Any = config.get("interpolation") if config.get("interpolation") in ("bilinear", "bicubic") else "bicubic"
    return Preprocessing((height, width), resize, tuple(config["mean"]), tuple(config["std"]), kind)


def _image_encoder(module: Any) -> nn.Module:
    """Return the module with a forward from images (n, 3, H, W) to embeddings (n, d), its paths unchanged."""
    kind = type(module)

    def forward(self: Any, images: Tensor) -> Any:
        return self.encode_image(images)

    module.__class__ = type(kind.__name__, (kind,), {"forward": forward})
    made: nn.Module = module
    return made


def _text_encoder(library: Any, name: str, module: Any) -> Callable[[str], Tensor]:
    """Return a function from a text to its embedding (d,)."""

    @cache
    def tokenizer() -> Any:
        try:
            return library.get_tokenizer(name)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0][:200]
            raise RequestError(
                f"the tokenizer of 'open_clip:{name}' does not load: {reason}", "--target similar:REF.jpg needs none"
            ) from error

    def encode(text: str) -> Tensor:
        import torch

        tokens = tokenizer()([text]).to(next(module.parameters()).device)
        with torch.no_grad():
            embedding: Tensor = module.encode_text(tokens)[0]
        return embedding

    return encode


@LISTINGS.add("open_clip")
def listing() -> Iterable[Offer]:
    """Every configuration of the installed package."""
    if installed("open_clip"):
        for name in _names():
            yield Offer(f"open_clip:{name}", "embedding")
