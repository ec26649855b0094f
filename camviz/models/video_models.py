"""Models of video clips as models of images: the frames of a clip are stacked, the first on top.

So everything that knows (n, c, h, w) knows clips: inputs are (n, 3, frames·H, W), maps (n, c, steps·h, w).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

LENGTHS = {"swin3d_t": 32, "swin3d_s": 32, "swin3d_b": 32, "s3d": 64}  # frames of a clip in torchvision's recipes
USUAL_LENGTH = 16


def stacked(module: Any, frames: int) -> nn.Module:
    """The same model with a forward from stacked clips (n, 3, frames·H, W); it tells `clip_frames`.

    Its class is another one, so that layers keep their paths and copies hold nothing of the original.
    """
    kind = type(module)

    def forward(self: Any, clips: Tensor) -> Any:
        images, channels, _, width = clips.shape
        return kind.forward(self, clips.reshape(images, channels, frames, -1, width))

    module.__class__ = type(kind.__name__, (kind,), {"forward": forward, "clip_frames": frames})
    made: nn.Module = module
    return made
