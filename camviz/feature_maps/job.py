"""What figures of feature maps to make; checked without importing torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from camviz.errors import RequestError
from camviz.feature_maps.channels import parse_channels, read_channels
from camviz.feature_maps.figures import Style
from camviz.feature_maps.maps import Reduction
from camviz.render import animation
from camviz.render.encoding import FORMATS
from camviz.types import Layer


@dataclass(frozen=True)
class FeatureJob:
    """What figures of feature maps to make."""

    style: Style = field(default_factory=Style)
    reduce: Reduction | None = None
    layout: Literal["grid", "strip"] = "grid"
    overlay: bool = False
    fit: str = "model"
    format: str = "png"
    batch_size: int = 0
    save_raw: bool = False
    attention: bool = False

    def check(self) -> None:
        """Refuse what does not go together."""
        read_channels(self.style.channels)
        animated = self.format in animation.FORMATS
        if not animated and self.format not in FORMATS:
            known = ", ".join((*FORMATS, *animation.FORMATS))
            raise RequestError(f"no format '{self.format}'", f"one of: {known}")
        if animated and self.layout != "strip":
            raise RequestError(f"--format {self.format} animates the way through the model", "--layout strip")
        if self.overlay and (self.reduce is None or self.reduce == "cluster" or self.layout == "strip"):
            raise RequestError("--overlay puts one reduced map on the image", "--reduce l2 --overlay")
        if self.layout == "strip" and self.reduce == "cluster":
            raise RequestError("--layout strip shows one map per layer, not groups", "--reduce l2")
        if self.style.channels and (self.layout == "strip" or self.reduce):
            other = "--layout strip" if self.layout == "strip" else f"--reduce {self.reduce}"
            raise RequestError(
                f"--channel {','.join(self.style.channels)} says nothing to {other}, which is of all channels",
                f"leave out {other}",
            )
        if self.attention and self.layout == "strip":
            raise RequestError(
                "--attention shows the heads of a block, a page for each", "--attention --layer 'blocks.*'"
            )
        if self.attention and self.style.rank != "energy":
            raise RequestError(
                f"--rank {self.style.rank} orders channels, not the heads of --attention", "leave it out"
            )

    def check_heads(self, count: int, layer: str) -> None:
        """Refuse heads that an attention does not have."""
        if self.style.channels:
            parse_channels(self.style.channels, count, layer, "head")
        if self.style.top > count:
            raise RequestError(f"--top {self.style.top} is more than the {count} heads of '{layer}'", f"--top {count}")

    def check_layers(self, layers: Sequence[Layer]) -> None:
        """Refuse channels that a layer does not have, before any image is read."""
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
    def twice(self) -> bool:
        """Whether all images must be seen before the first can be drawn."""
        return self.style.scale == "run" or self.reduce == "pca"

    @property
    def why_twice(self) -> str:
        """Which option asks for that."""
        option = "--scale run" if self.style.scale == "run" else "--reduce pca"
        return f"{option} needs all images in one place: they share {'a scale' if 'scale' in option else 'a basis'}"
