"""The line of an image on stderr: what was explained, and in which files it can be seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from camviz.render.bar import number, percent
from camviz.run.database.records import Record

MOST = 10  # images: of more there is only the progress
_LISTED = 3  # targets or files of an image


def explained(record: Record, files: Sequence[str]) -> str:
    """Return "photo.jpg  tabby 35.8 %  (281)  → photo_gradcam.png"; "" where nothing was explained.

    `files` are the names of the image's files.
    """
    targets = [_target(each) for each in record.predictions if "label" in each]
    targets = targets or _measured(record.predictions)
    if not targets:
        return ""
    shown = f"{record.source.name}  {_listed(targets, 'target')}"
    return f"{shown}  → {_listed(files, 'file')}" if files else shown


def _target(prediction: Mapping[str, Any]) -> str:
    label, index, true = (prediction.get(key) for key in ("label", "index", "true"))
    probability, score = prediction.get("probability"), prediction.get("score")
    value = "" if score is None or not math.isfinite(score) else number(score)
    value = percent(probability) if probability is not None else value
    parts = [f"{label} {value}".strip()]
    parts += [f"({index})"] if index is not None and str(index) not in str(label).split() else []
    parts += [f"true: {true}"] if true is not None and true != label else []
    return "  ".join(parts)


def _measured(predictions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the targets of the rows that 'camviz evaluate' measures."""
    return list(dict.fromkeys(row["label"] for each in predictions for row in each.get("rows", ())))


def _listed(texts: Sequence[str], noun: str) -> str:
    left = len(texts) - _LISTED
    more = f" and {left} more {noun}{'s' if left > 1 else ''}" if left > 0 else ""
    return ", ".join(texts[:_LISTED]) + more
