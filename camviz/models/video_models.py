"""Video models as image models: the frames of a clip are stacked vertically, the first on top.

Code for (n, c, h, w) then works on clips: inputs are (n, 3, frames·H, W), maps (n, c, steps·h, w).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

LENGTHS = {"swin3d_t": 32, "swin3d_s": 32, "swin3d_b": 32, "s3d": 64}  # frames per clip in torchvision's recipes
USUAL_LENGTH = 16


def stacked(module: Any, frames: int) -> nn.Module:
    """Return the module with a forward from stacked clips (n, 3, frames·H, W) and an attribute `clip_frames`.

    Only its class changes, so that layers keep their paths and copies hold no reference to the original.
    """
    kind = type(module)

    def forward(self: Any, clips: Tensor) -> Any:
        images, channels, _, width = clips.shape
        return kind.forward(self, clips.reshape(images, channels, frames, -1, width))

    module.__class__ = type(kind.__name__, (kind,), {"forward": forward, "clip_frames": frames})
    made: nn.Module = module
    return made
