"""The tables of the run database, and how raw maps and file names are stored."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

from camviz.run.database.records import SavedMap
from camviz.run.database.typed import typed
from camviz.types import View

VERSION = 2  # of the tables below; `PRAGMA user_version`
TABLES = """
CREATE TABLE jobs (             -- one per command and settings; `key` is their digest
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  command TEXT NOT NULL,        -- heatmap, features
  settings TEXT NOT NULL,       -- JSON, as the command understood them; "contents": digests of the files they name
  versions TEXT NOT NULL,       -- JSON: camviz, python, torch, torchvision; and the number of threads
  created TEXT NOT NULL,        -- ISO 8601, UTC
  batch_size INTEGER            -- the largest that fitted into memory, where one did not
);
CREATE TABLE inputs (           -- one per job and image
  id INTEGER PRIMARY KEY,
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  name TEXT NOT NULL,           -- its place below the inputs' common folder
  path TEXT NOT NULL,           -- absolute
  size INTEGER,                 -- bytes, and
  mtime_ns INTEGER,             -- when it was last changed: another value means another image
  state TEXT NOT NULL CHECK (state IN ('done', 'failed')),
  files INTEGER NOT NULL,       -- how many were written; if another job has replaced one, `files` holds fewer rows
  seconds REAL NOT NULL,
  finished TEXT NOT NULL,       -- ISO 8601, UTC
  predictions TEXT NOT NULL,    -- JSON list: label, index, score, probability of what was explained
  error TEXT, hint TEXT, traceback TEXT,  -- of the failed
  stem TEXT,                    -- the beginning of `name` that names its files; NULL in runs of version 1
  UNIQUE (job, name)
);
CREATE TABLE maps (             -- raw maps, in the order of their making
  id INTEGER PRIMARY KEY,
  input INTEGER NOT NULL REFERENCES inputs ON DELETE CASCADE,
  position INTEGER NOT NULL,
  method TEXT, layer TEXT, target TEXT, class_index INTEGER, score REAL, probability REAL, model TEXT,
  facets TEXT NOT NULL,         -- JSON list: what tells its file from the image's others
  facts TEXT NOT NULL,          -- JSON
  more TEXT NOT NULL,           -- JSON: whatever else a SaliencyMap has
  view TEXT NOT NULL,           -- JSON: image [width, height], box [left, top, right, bottom], size [width, height]
  height INTEGER NOT NULL,
  width INTEGER NOT NULL,
  raw BLOB NOT NULL             -- zlib over float32, little-endian, row by row: exact
);
CREATE INDEX maps_of_input ON maps (input);
CREATE TABLE files (            -- what is in the output folder; a path belongs to the job that wrote it last
  path TEXT PRIMARY KEY,        -- relative to the output folder
  input INTEGER NOT NULL REFERENCES inputs ON DELETE CASCADE,
  kind TEXT NOT NULL,
  size INTEGER NOT NULL,
  facts TEXT NOT NULL           -- JSON, as --json prints them; and "crc32" of the content
) WITHOUT ROWID;
CREATE INDEX files_of_input ON files (input, path, size);
"""
SHARDS = """
CREATE TABLE IF NOT EXISTS shards (  -- in the database of a shard: the jobs whose part is complete
  job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  listed INTEGER NOT NULL,      -- images in all shards together
  taken INTEGER NOT NULL,       -- of this shard
  digest TEXT NOT NULL          -- of the names of all that were listed: shards of one run agree
);
"""
ABSORB = """
INSERT OR IGNORE INTO main.jobs (key, command, settings, versions, created, batch_size)
  SELECT key, command, settings, versions, created, batch_size FROM other.jobs ORDER BY id;
CREATE TEMP TABLE pairs AS SELECT o.id AS theirs, m.id AS ours FROM other.jobs AS o JOIN main.jobs AS m USING (key);
DELETE FROM main.inputs WHERE id IN (
  SELECT m.id FROM other.inputs AS o JOIN pairs AS p ON o.job = p.theirs
  JOIN main.inputs AS m ON m.job = p.ours AND m.name = o.name);
CREATE TEMP TABLE shift AS SELECT coalesce(max(id), 0) AS n FROM main.inputs;
INSERT INTO main.inputs SELECT o.id + shift.n, p.ours, o.name, o.path, o.size, o.mtime_ns, o.state, o.files,
  o.seconds, o.finished, o.predictions, o.error, o.hint, o.traceback, {stem}
  FROM shift, other.inputs AS o JOIN pairs AS p ON o.job = p.theirs ORDER BY o.id;
INSERT INTO main.maps SELECT NULL, o.input + shift.n, o.position, o.method, o.layer, o.target, o.class_index, o.score,
  o.probability, o.model, o.facets, o.facts, o.more, o.view, o.height, o.width, o.raw
  FROM shift, other.maps AS o ORDER BY o.id;
INSERT OR REPLACE INTO main.files SELECT o.path, o.input + shift.n, o.kind, o.size, o.facts
  FROM shift, other.files AS o;
DROP TABLE temp.pairs;
DROP TABLE temp.shift;
"""
UPGRADE = "ALTER TABLE inputs ADD COLUMN stem TEXT;"  # of version 1
KNOWN = """
SELECT i.state, i.size, i.mtime_ns, i.files, i.finished, f.path, f.kind, f.size, f.facts
FROM inputs AS i LEFT JOIN files AS f ON f.input = i.id
WHERE i.job = ? AND i.name = ?
"""
_MAP = ("method", "layer", "target", "index", "score", "probability", "model")  # columns of their own; index is a word
_OLD_NAMES = {"picture": "image"}  # of a view's fields, in runs of 0.1


def columns(map: SavedMap) -> tuple[Any, ...]:
    """Return a raw map as the columns after `input` and `position`."""
    own, view = map.fields, map.view
    more = {name: value for name, value in own.items() if name not in (*_MAP, "facets", "facts")}
    placed = json.dumps(asdict(view))
    words = [json.dumps(item) for item in (own.get("facets", ()), own.get("facts", {}), more)]
    return (*(own.get(name) for name in _MAP), *words, placed, *map.shape, map.blob)


def saved(row: tuple[Any, ...]) -> SavedMap:
    """Return the raw map of such columns."""
    facets, facts, more, view, height, width, raw = row[len(_MAP) :]
    placed = {_OLD_NAMES.get(name, name): value for name, value in json.loads(view).items()}
    fields = dict(zip(_MAP, row, strict=False)) | {"facets": json.loads(facets), "facts": json.loads(facts)}
    map = SavedMap((int(height), int(width)), bytes(raw), typed(View, placed), fields | json.loads(more))
    map.checked()
    return map


def text(name: str) -> str | bytes:
    """Return a name as text, or as bytes if it is not UTF-8."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def back(value: str | bytes) -> str:
    """Return the name that `text` encoded."""
    return value if isinstance(value, str) else os.fsdecode(value)
