"""What a command over images prints about its run."""

from __future__ import annotations

import numpy as np
from PIL import Image


def test_files_of_another_job_are_not_written_over_without_a_word(heatmap, write_image, tmp_path):
    source = write_image(tmp_path / "a.png")
    assert "written over" not in heatmap(source, "--save-raw").stderr
    note = "note: 2 files of another job there are written over; -o OTHER_FOLDER keeps both"
    assert note in heatmap(source, "--save-raw", "--alpha", "0.9").stderr.splitlines()
    assert "note: 1 file of another job" in heatmap(source, "--alpha", "0.3").stderr
    assert "written over" not in heatmap(source, "--alpha", "0.3", "--overwrite").stderr


def test_a_run_that_is_done_says_what_does_it_again(heatmap, write_image, tmp_path):
    source = write_image(tmp_path / "a.png")
    assert "--overwrite" not in heatmap(source).stderr
    assert "1 done before in" in heatmap(source).stderr
    assert "--overwrite does it again" in heatmap(source).stderr


def test_a_panel_shows_its_scale_and_needs_no_word_about_it(heatmap, write_image, tmp_path):
    sources = write_image(tmp_path / "a.png"), write_image(tmp_path / "b.png", seed=1)
    assert "scale: each map has its own" in heatmap(*sources).stderr
    assert "scale:" not in heatmap(*sources, "--layout", "panel").stderr
    assert "scale:" not in heatmap(*sources, "--colorbar", "--overwrite").stderr


def test_an_image_too_thin_to_resize_fails_alone(heatmap, write_image, tmp_path):
    thin = tmp_path / "thin.png"
    Image.fromarray(np.zeros((1, 60000, 3), np.uint8)).save(thin)
    result = heatmap(thin, write_image(tmp_path / "a.png"))
    assert result.exit_code == 1
    assert "60000×1 is too thin" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_a_name_too_long_fails_alone(heatmap, write_image, tmp_path):
    result = heatmap(write_image(tmp_path / ("x" * 251 + ".png")), write_image(tmp_path / "a.png"))
    assert result.exit_code == 1
    assert "too long a name" in result.stderr
    assert len(result.stdout.splitlines()) == 1


def test_the_output_folder_cannot_be_an_input(run, net_file, write_image, refused, tmp_path):
    folder = write_image(tmp_path / "in" / "a.png").parent
    refused(run("heatmap", folder, "-m", f"{net_file}:Net", "-o", folder), "is also an input")
