"""The demo model: a small torchvision EfficientNet that names the largest shape of a scene."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchvision.models import EfficientNet

KINDS: tuple[str, ...] = (  # the labels, in the order of the outputs
    "arrow", "circle", "crescent", "cross", "drop", "heart", "ring", "square", "star", "triangle",
)  # fmt: skip
INPUT_SIZE = 128  # pixels
STRIDE = 8  # input pixels per cell of the last feature stage
MEAN = (0.5, 0.5, 0.5)
STD = (0.25, 0.25, 0.25)
WEIGHTS = Path(__file__).with_name("demo.safetensors")


def blank() -> "EfficientNet":
    """The architecture with random weights.

    Its stride is 8, so its maps point well; `features` is followed by global average pooling and one linear
    layer, so a class activation map is exact.
    """
    from torchvision.models import EfficientNet
    from torchvision.models.efficientnet import FusedMBConvConfig as Stage

    # expansion, kernel, stride, channels in, channels out, blocks
    stages = [Stage(2, 3, 2, 16, 32, 2), Stage(2, 3, 2, 32, 48, 3), Stage(2, 3, 1, 48, 64, 4)]
    return EfficientNet(stages, 0.0, 0.0, num_classes=len(KINDS), last_channel=192)


def build() -> "EfficientNet":
    """The trained model in evaluation mode, float32, on the CPU; outputs follow KINDS."""
    from safetensors.torch import load_file

    model = blank()
    model.load_state_dict(load_file(WEIGHTS))
    return model.eval()
