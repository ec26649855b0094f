#!/bin/sh
# The images of the README, made by the commands that stand below them there; needs Chromium.
set -e
cd "$(dirname "$0")/.."
out=$(mktemp -d)

camviz heatmap sample_images/star_and_ring.jpg -m demo -t star -t ring -t 'star vs ring' --sign both --layout grid \
    -o "$out/heatmap"
camviz heatmap sample_images/crescent_and_star.jpg -m demo \
    --method gradcam,gradcam++,layercam,finercam,occlusion,smoothgrad --layout grid -o "$out/methods"
camviz features sample_images/ring_over_square.jpg -m demo --layer features.3 --top 18 -o "$out/features"
camviz features sample_images/crescent_and_star.jpg -m demo --layout strip -o "$out/strip"
camviz patches sample_images -m demo --layer features.4 --channel 182,84,18,78 --top 6 -o "$out/patches"
camviz reconstruct sample_images/heart_circle_triangle.jpg -m demo -o "$out/reconstruct"
camviz maximize -m demo -t star -t heart -t ring -t cross -o "$out/maximize"
camviz compare sample_images/star_and_ring.jpg -m demo -m demo --weights shuffled --name trained --name shuffled \
    -o "$out/compare"
camviz heatmap sample_images -m demo --method gradcam,layercam -o "$out/run"
camviz report "$out/run"
mkdir "$out/report"
"${CHROMIUM:-chromium}" --headless --no-sandbox --hide-scrollbars --window-size=1280,800 \
    --screenshot="$out/report/page.png" "file://$out/run/report.html"

python - "$out" docs/images <<'END'
import sys
from pathlib import Path

from PIL import Image

made, wanted = map(Path, sys.argv[1:])
wanted.mkdir(exist_ok=True)
for folder in sorted(made.iterdir()):
    figures = [path for path in sorted(folder.rglob("*.png")) if folder.name != "run"]
    for path in figures[:1]:
        image = Image.open(path).convert("RGB")
        image.thumbnail((1100, 1100))
        image.save(wanted / f"{folder.name}.webp", quality=82, method=6)
END
rm -r "$out"
ls -l docs/images
