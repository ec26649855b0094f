"""Boxes and masks as people have them."""

import json

import numpy as np
import pytest
from PIL import Image as PILImage

from camviz.errors import InputError, RequestError
from camviz.metrics.ground_truth import read_boxes, read_masks, same_class
from camviz.types import Image

VOC = """<annotation><filename>{name}</filename><size><width>10</width><height>8</height></size>
<object><name>dog</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>6</xmax><ymax>4</ymax></bndbox></object>
<object><name>person</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>1</xmax><ymax>8</ymax></bndbox></object>
</annotation>"""


def write_image(path, width=10, height=8):
    return Image(np.zeros((height, width, 3), np.uint8), path)


def area(top, bottom, left, right, shape=(8, 10)):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


# Pascal VOC


def test_voc_counts_from_one_and_includes_the_last_pixel(tmp_path):
    (tmp_path / "a.xml").write_text(VOC.format(name="a.jpg"))
    truth = read_boxes(tmp_path / "a.xml")
    assert np.array_equal(truth.mask(write_image(tmp_path / "a.jpg"), "dog"), area(1, 4, 2, 6))
    assert np.array_equal(truth.mask(write_image(tmp_path / "a.jpg"), "person"), area(0, 8, 0, 1))
    assert truth.mask(write_image(tmp_path / "a.jpg"), "cat") is None
    assert truth.mask(write_image(tmp_path / "b.jpg"), "dog") is None
    assert truth.mask(write_image(None), "dog") is None


def test_a_folder_of_voc_files_by_stem_and_by_file_name(tmp_path):
    (tmp_path / "a.xml").write_text(VOC.format(name="a.jpg"))
    (tmp_path / "renamed.xml").write_text(VOC.format(name="b.jpg"))
    truth = read_boxes(tmp_path, match="any")
    both = area(1, 4, 2, 6) | area(0, 8, 0, 1)
    for name in ("a.png", "renamed.jpg", "sub/b.jpg"):
        assert np.array_equal(truth.mask(write_image(tmp_path / name), "cat"), both), name


def test_boxes_of_a_smaller_copy_grow_with_the_image(tmp_path):
    (tmp_path / "a.xml").write_text(VOC.format(name="a.jpg"))
    found = read_boxes(tmp_path).mask(write_image(tmp_path / "a.jpg", 20, 16), "dog")
    assert np.array_equal(found, area(2, 8, 4, 12, (16, 20)))


def test_boxes_of_another_shape_are_refused(tmp_path):
    (tmp_path / "a.xml").write_text(VOC.format(name="a.jpg"))
    with pytest.raises(InputError, match=r"8×10, .* 10×8"):
        read_boxes(tmp_path).mask(write_image(tmp_path / "a.jpg", 8, 10), "dog")


# COCO


def coco(**changes):
    content = {
        "images": [{"id": 7, "file_name": "one/a.jpg", "width": 10, "height": 8}, {"id": 8, "file_name": "two/a.jpg"}],
        "categories": [{"id": 18, "name": "dog"}],
        "annotations": [
            {"image_id": 7, "category_id": 18, "bbox": [2, 1, 4, 3]},
            {"image_id": 8, "category_id": 18, "bbox": [0, 0, 1.5, 1]},
        ],
    }
    return content | changes


def test_coco(tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps(coco()))
    truth = read_boxes(tmp_path / "boxes.json")
    assert np.array_equal(truth.mask(write_image(tmp_path / "one" / "a.jpg"), "dog"), area(1, 4, 2, 6))
    # half a pixel is covered to its center, which is not inside
    assert np.array_equal(truth.mask(write_image(tmp_path / "two" / "a.jpg"), "dog"), area(0, 1, 0, 1))
    assert truth.mask(write_image(tmp_path / "two" / "a.jpg"), "cat") is None


def test_a_class_without_a_name_is_its_number(tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps(coco(categories=[])))
    assert read_boxes(tmp_path / "boxes.json").mask(write_image(tmp_path / "one" / "a.jpg"), "18").any()


# what it cannot be


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.xml", "<annotation>", "is not Pascal VOC XML"),
        ("a.xml", VOC.format(name="a").replace("<xmin>3", "<xmin>left"), "could not convert string to float: 'left'"),
        ("a.json", "{", "cannot be read as COCO JSON"),
        ("a.xml", VOC.format(name="a").replace("<xmin>3", "<xmin>nan"), "a box at nan"),
        ("a.xml", '<?xml version="1.0" encoding="nope"?><a/>', "is not Pascal VOC XML"),
        ("a.json", "[]", "is not COCO JSON"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '{"images": [' + "7" * 5000 + '], "annotations": []}', "4300 digits"),
        ("a.json", '{"images": [], "annotations": ["x"]}', "cannot be read as COCO JSON"),
        (
            "a.json",
            '{"files": {"x.png": {"width": 9, "height": 9, "shapes": [{"kind": "a", "runs": [1000000000]}]}}}',
            "runs",
        ),
        ("a.json", json.dumps(coco(images=[{"id": 7}])), "no 'file_name'"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(RequestError, match=words):
        read_boxes(tmp_path / name)


def test_nothing_there(tmp_path):
    with pytest.raises(RequestError, match="no file or folder"):
        read_boxes(tmp_path / "none")
    with pytest.raises(RequestError, match=r"no \.xml file"):
        read_boxes(tmp_path)
    with pytest.raises(RequestError, match="no folder"):
        read_masks(tmp_path / "none")
    with pytest.raises(RequestError, match="no image in folder"):
        read_masks(tmp_path)
    with pytest.raises(RequestError, match="'blue' is neither an index nor a color"):
        read_masks(tmp_path, "blue")


# masks


@pytest.fixture
def masks(tmp_path):
    """A gray mask with 1 and 2, and the same with a palette, VOC's border, and in color."""
    values = np.zeros((8, 10), np.uint8)
    values[1:4, 2:6], values[6, 0] = 1, 2
    PILImage.fromarray(values).save(tmp_path / "gray.png")
    bordered = values.copy()
    bordered[7, :] = 255
    indexed = PILImage.fromarray(bordered).convert("P")
    indexed.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0, *([224] * 253 * 3)])
    indexed.save(tmp_path / "indexed.png")
    colors = np.zeros((8, 10, 3), np.uint8)
    colors[1:4, 2:6], colors[6, 0] = (200, 0, 0), (0, 200, 0)
    PILImage.fromarray(colors).save(tmp_path / "color.png")
    return tmp_path


@pytest.mark.parametrize("name", ["gray", "indexed", "color"])
def test_what_is_not_zero_is_the_target(masks, name):
    expected = area(1, 4, 2, 6) | area(6, 7, 0, 1)
    assert np.array_equal(read_masks(masks).mask(write_image(masks / "images" / f"{name}.jpg"), "any"), expected)


@pytest.mark.parametrize(("name", "value"), [("gray", "1"), ("indexed", "1"), ("color", "#c80000")])
def test_one_value_of_a_mask(masks, name, value):
    found = read_masks(masks, value).mask(write_image(masks / f"{name}.jpg"), "any")
    assert np.array_equal(found, area(1, 4, 2, 6))


def test_masks_in_folders_and_of_another_size(masks):
    (masks / "x").mkdir()
    PILImage.fromarray(np.full((4, 5), 255, np.uint8)).save(masks / "x" / "gray.png")
    truth = read_masks(masks)
    assert truth.mask(write_image(masks / "y" / "x" / "gray.jpg"), "").all()
    PILImage.fromarray(np.full((4, 4), 255, np.uint8)).save(masks / "square.png")
    with pytest.raises(InputError, match=r"10×8, .* 4×4"):
        read_masks(masks).mask(write_image(masks / "square.jpg"), "")


def test_a_broken_mask_is_the_images_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.png' is not an image"):
        read_masks(tmp_path).mask(write_image(tmp_path / "a.jpg"), "")


# names


@pytest.mark.parametrize(
    ("marked", "label", "same"),
    [
        ("dog", "dog", True),
        ("Dog", "dog", True),
        ("cat", "tiger cat", True),
        ("cat", "tabby, tabby cat", True),
        ("sports_car", "sports car, sport car", True),
        ("car", "cardigan", False),
        ("dog", "hot dog stand", False),
        ("tiger cat", "cat", False),
        ("", "cat", False),
    ],
)
def test_which_names_mean_the_same(marked, label, same):
    assert same_class(marked, label) is same


def test_the_bundled_annotations():
    from camviz.demo import sample_folder

    truth = read_boxes(sample_folder() / "annotations.json")
    found = truth.mask(write_image(sample_folder() / "star_and_ring.jpg", 640, 480), "ring")
    assert found.any(0).nonzero()[0][[0, -1]].tolist() == [418, 581]
    assert truth.mask(write_image(sample_folder() / "star_and_ring.jpg", 640, 480), "heart") is None
