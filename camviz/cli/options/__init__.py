"""The options that several commands share. A group is a dataclass that `with_groups` spreads into its fields."""

from camviz.cli.options.cluster import ClusterOptions
from camviz.cli.options.figure import Alpha, Colormap, LookOptions, PrintOptions, Signs
from camviz.cli.options.images import LAYER, Fit, Images, Layers, Targets, several
from camviz.cli.options.method import Floor, MethodOptions
from camviz.cli.options.model import AllowPickle, ModelOptions, ModelWithoutImagesOptions
from camviz.cli.options.running import ComputeOptions, Json, OutputOptions, ResumeOptions, SaveRaw

__all__ = [
    "LAYER",
    "AllowPickle",
    "Alpha",
    "ClusterOptions",
    "Colormap",
    "ComputeOptions",
    "Fit",
    "Floor",
    "Images",
    "Json",
    "Layers",
    "LookOptions",
    "MethodOptions",
    "ModelOptions",
    "ModelWithoutImagesOptions",
    "OutputOptions",
    "PrintOptions",
    "ResumeOptions",
    "SaveRaw",
    "Signs",
    "Targets",
    "several",
]
