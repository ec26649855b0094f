"""Settings of `camviz features`, checked without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from camviz.errors import RequestError
from camviz.feature_maps.channels import parse_channels, read_channels
from camviz.feature_maps.figures import FeatureStyle
from camviz.feature_maps.maps import Reduction
from camviz.feature_maps.patch_similarity import Point
from camviz.render import animation
from camviz.render.color import one_of
from camviz.render.paper import FORMATS
from camviz.types import Layer


@dataclass(frozen=True)
class FeatureRequest:
    """Which figures of feature maps to draw, and how."""

    style: FeatureStyle = field(default_factory=FeatureStyle)
    reduce: Reduction | None = None
    layout: Literal["grid", "strip"] = "grid"
    overlay: bool = False
    fit: str = "model"
    format: str = "png"
    batch_size: int = 0
    save_raw: bool = False
    attention: bool = False
    foreground: bool = False
    like: tuple[str, ...] = ()
    correspond: str = ""

    @property
    def references(self) -> list[Path]:
        """The images that others are compared with."""
        return [Path(path) for path in (*(Point.parse(text).path for text in self.like), self.correspond) if path]

    def check(self) -> None:
        """Raise `RequestError` for settings that exclude each other."""
        read_channels(self.style.channels)
        animated = self.format in animation.FORMATS
        one_of("format", self.format, (*FORMATS, *animation.FORMATS))
        if animated and self.layout != "strip":
            raise RequestError(f"--format {self.format} is for --layout strip only", "--layout strip")
        if self.overlay and (self.reduce is None or self.reduce == "cluster" or self.layout == "strip"):
            raise RequestError("--overlay needs one reduced map", "--reduce l2 --overlay")
        if self.layout == "strip" and self.reduce == "cluster":
            raise RequestError("--layout strip draws one map per layer, not clusters", "--reduce l2")
        if self.style.channels and (self.layout == "strip" or self.reduce):
            other = "--layout strip" if self.layout == "strip" else f"--reduce {self.reduce}"
            raise RequestError(
                f"--channel {','.join(self.style.channels)} has no effect with {other}, which uses all channels",
                f"leave out {other}",
            )
        self._check_patches()
        if self.attention and self.layout == "strip":
            raise RequestError("--attention draws a figure per block, not a strip", "--attention --layer 'blocks.*'")
        if self.attention and self.style.rank != "energy":
            raise RequestError(
                f"--rank {self.style.rank} sorts channels, not the heads of --attention", "leave out --rank"
            )

    def _check_patches(self) -> None:
        """Raise `RequestError` for settings of patches that exclude others, or name no image."""
        if self.foreground and self.reduce != "pca":
            raise RequestError("--foreground is for --reduce pca", "--reduce pca --foreground")
        for text in self.like:
            Point.parse(text)
        if self.correspond and not Path(self.correspond).is_file():
            raise RequestError(f"--correspond: no image '{self.correspond}'", "--correspond FILE, a file that exists")
        others = {
            "--correspond": bool(self.correspond),
            "--like": bool(self.like),
            "--attention": self.attention,
            f"--reduce {self.reduce}": bool(self.reduce),
            "--layout strip": self.layout == "strip",
            "--channel": bool(self.style.channels),
            f"--scale {self.style.scale}": bool(self.style.scale),
            f"--rank {self.style.rank}": self.style.rank != "energy",
            "--top": bool(self.style.top and self.like),
        }
        typed = [option for option, given in others.items() if given]
        if typed and typed[0] in ("--correspond", "--like") and len(typed) > 1:
            raise RequestError(f"{typed[0]} draws a figure of its own, not with {typed[1]}", f"leave out {typed[1]}")

    def check_heads(self, count: int, layer: str) -> None:
        """Raise `RequestError` for heads that an attention does not have."""
        if self.style.channels:
            parse_channels(self.style.channels, count, layer, "head")
        if self.style.top > count:
            raise RequestError(f"--top {self.style.top} is more than the {count} heads of '{layer}'", f"--top {count}")

    def check_layers(self, layers: Sequence[Layer]) -> None:
        """Raise `RequestError` for channels that a layer does not have, before any image is read."""
        from camviz.models.layers import channels_of

        for layer in layers if self.layout == "grid" else ():
            count = channels_of(layer)
            if self.style.channels:
                parse_channels(self.style.channels, count, layer.path)
            if self.reduce is None and self.style.top > count:
                raise RequestError(
                    f"--top {self.style.top} is more than the {count} channels of layer '{layer.path}'",
                    f"--top {count}",
                )

    @property
    def shows(self) -> str:
        """What the figures show, as a part of their file names: photo_features.png, photo_pca.png."""
        chosen = {"like": self.like, "correspond": self.correspond, "attention": self.attention, "features": True}
        return "strip" if self.layout == "strip" else self.reduce or next(name for name in chosen if chosen[name])

    @property
    def twice(self) -> bool:
        """Whether all images are read before the first is drawn."""
        return self.style.scale == "run" or self.reduce == "pca"

    @property
    def why_twice(self) -> str:
        """The reason for `twice`, with the option."""
        option = "--scale run" if self.style.scale == "run" else "--reduce pca"
        shared = "color scale" if self.style.scale == "run" else "basis"
        return f"{option} computes one {shared} for all images, so they cannot be split"
