"""Small detectors and segmenters, for tests: torchvision's own classes over a backbone of a few thousand weights."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN

CLASSES = ("__background__", "cat", "dog", "bird")
SHORT, LONG = 128, 192  # pixels


def stage(before: int, after: int, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.ReLU(inplace=True))


def body() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(layer1=stage(3, 8, 4), layer2=stage(8, 12), layer3=stage(12, 16), layer4=stage(16, 16))
    )


def pyramid(channels: int = 8) -> nn.Module:
    levels = {"layer2": "0", "layer3": "1", "layer4": "2"}
    return BackboneWithFPN(body(), levels, [12, 16, 16], channels)


def awake(module: nn.Module) -> nn.Module:
    """The model with a head that is not quiet, as torchvision leaves it for training."""
    for part in module.head.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)
    return module


class Levels(nn.Module):
    """Two levels one after the other, as SSD has them."""

    out_channels = (12, 16)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(stage(3, 8, 4), stage(8, 12))
        self.extra = stage(12, 16)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        fine = self.features(x)
        return OrderedDict([("0", fine), ("1", self.extra(fine))])


SIZES = {"min_size": SHORT, "max_size": LONG}


def anchors() -> AnchorGenerator:
    return AnchorGenerator(((12,), (24,), (48,), (64,)), ((1.0,),) * 4)  # the pyramid adds a pooled level


def faster_rcnn() -> nn.Module:
    return detection.FasterRCNN(pyramid(), 4, rpn_anchor_generator=anchors(), rpn_post_nms_top_n_test=30, **SIZES)


def mask_rcnn() -> nn.Module:
    few = {"rpn_post_nms_top_n_test": 10, "box_detections_per_img": 5}
    head = detection.mask_rcnn.MaskRCNNHeads(8, (8, 8), 1)
    module = detection.MaskRCNN(pyramid(), 4, rpn_anchor_generator=anchors(), mask_head=head, **few, **SIZES)
    module.roi_heads.mask_predictor = detection.mask_rcnn.MaskRCNNPredictor(8, 8, 4)
    return module


def keypoint_rcnn() -> nn.Module:
    few = {"rpn_post_nms_top_n_test": 10, "box_detections_per_img": 5}
    head = detection.keypoint_rcnn.KeypointRCNNHeads(8, (8, 8))
    module = detection.KeypointRCNN(pyramid(), 2, rpn_anchor_generator=anchors(), keypoint_head=head, **few, **SIZES)
    module.roi_heads.keypoint_predictor = detection.keypoint_rcnn.KeypointRCNNPredictor(8, 3)
    return module


def retinanet() -> nn.Module:
    return awake(detection.RetinaNet(pyramid(), 4, anchor_generator=anchors(), detections_per_img=20, **SIZES))


def fcos() -> nn.Module:
    return awake(detection.FCOS(pyramid(32), 4, anchor_generator=anchors(), detections_per_img=20, **SIZES))


def ssd() -> nn.Module:
    boxes = DefaultBoxGenerator([[1], [1]], scales=[0.2, 0.5, 0.9])
    return detection.ssd.SSD(Levels(), boxes, (128, 128), 4, topk_candidates=50, detections_per_img=20)


DETECTORS = {
    "faster-rcnn": faster_rcnn,
    "mask-rcnn": mask_rcnn,
    "keypoint-rcnn": keypoint_rcnn,
    "retinanet": retinanet,
    "fcos": fcos,
    "ssd": ssd,
}


def make(name: str, seed: int = 0) -> nn.Module:
    """The detector called `name` with the same weights every time, its heads awake."""
    torch.manual_seed(seed)
    return DETECTORS[name]().eval()
