"""Somebody's file of weights: read without running anything in it, and fitted to a model with an account.

`files` looks at a file from outside, without torch; `reading` gets its content; `dialects` finds the tensors in
it; `fitting` gives them to a model; `script` and `exported` are for files that hold a model themselves.
"""

from camviz.models.checkpoint.content import Weights, read_weights, settings_note
from camviz.models.checkpoint.files import SUFFIXES, check_file, kind_of
from camviz.models.checkpoint.fitting import Fit, fit

__all__ = ["SUFFIXES", "Fit", "Weights", "check_file", "fit", "kind_of", "read_weights", "settings_note"]
