"""From a model's output to targets, one task per file: the only thing that differs between tasks."""
