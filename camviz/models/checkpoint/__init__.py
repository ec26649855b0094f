"""Files of weights: read without running anything in them, and loaded into a model with a report.

`files` checks a file from outside, without torch; `reading` reads its content; `dialects` finds the tensors in it;
`fitting` loads them into a model; `script` and `exported` read files that hold a model themselves.
"""

from camviz.models.checkpoint.content import Weights, read_weights, settings_note
from camviz.models.checkpoint.files import SUFFIXES, check_file, kind_of
from camviz.models.checkpoint.fitting import Fit, fit
from camviz.models.checkpoint.settings import fitted_model

__all__ = [
    "SUFFIXES",
    "Fit",
    "Weights",
    "check_file",
    "fit",
    "fitted_model",
    "kind_of",
    "read_weights",
    "settings_note",
]
