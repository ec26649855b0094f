"""What the models of torchvision and timm are called by the names and shapes of their tensors.

`table.json.gz` holds one row per architecture; `python -m tools.signatures` makes it anew.
"""
