"""What is read from timm's source text is what timm itself says."""

from __future__ import annotations

import pytest

timm = pytest.importorskip("timm", reason="timm is not installed")

from camviz.models.catalog import imagenet_labels  # noqa: E402
from camviz.models.timm_names import architectures, class_names, task_of  # noqa: E402


@pytest.fixture(scope="module")
def told():
    """timm's own configurations: {architecture: {tag: configuration}}, and the default tag of each."""
    from timm.models import _registry as registry

    configurations = registry._model_default_cfgs
    return (
        {name: dict(one.cfgs) for name, one in configurations.items()},
        {name: one.tags[0] for name, one in configurations.items()},
    )


def test_every_architecture_and_no_other():
    assert list(architectures()) == sorted(timm.list_models(include_tags=False))


def test_nearly_every_configuration_is_read(told):
    """Some files of timm make their tables by loops: nothing is read of these, and nothing is claimed."""
    configurations, _ = told
    known = [(name, tag) for name in architectures() for tag in configurations[name]]
    read = {(one.name, configuration.tag) for one in architectures().values() for configuration in one.configurations}
    assert len(read & set(known)) > 0.95 * len(known)


def test_what_is_read_is_right(told):
    configurations, defaults = told
    for name, one in architectures().items():
        if one.configurations:
            assert one.configurations[0].tag == defaults[name], name
        for read in one.configurations:
            own = configurations[name].get(read.tag)
            if own is None:
                continue
            assert read.classes in (None, own.num_classes), (name, read)
            if read.hub and own.hf_hub_id and own.hf_hub_id != "timm/":
                assert read.hub.startswith(own.hf_hub_id), (name, read)
    resnet = architectures()["resnet50"].find("a1_in1k")
    assert resnet.hub == "timm/resnet50.a1_in1k"
    assert resnet.classes == 1000
    assert architectures()["resnet50t"].weights == ()


TEXT = """
def _cfg(url='', **kwargs):
    return {'url': url, 'num_classes': 1000, **kwargs}


def _bare_cfg(url='', **kwargs):
    return {
        'url': url, 'num_classes': 0, **kwargs
    }


def other():
    return _made(num_classes=7)


default_cfgs = generate_default_cfgs({
    'a.first': _cfg(hf_hub_id='timm/'),
    # 'a.gone': _cfg(num_classes=5),
    'a.starred*': _cfg(hf_hub_id='me/mine', num_classes=12),
    'b.empty': _bare_cfg(),
    'b.full': _bare_cfg(url='https://example.org/b.pth'),
    'c.strange': _strange_cfg(hf_hub_id='timm/'),
})
"""


def test_one_file_by_hand():
    from camviz.models.timm_names import Pretrained, _by_priority, _configurations

    found = list(_configurations(TEXT))
    assert [one for _, one in found] == [
        Pretrained("first", "timm/a.first", "", 1000),
        Pretrained("starred", "me/mine", "", 12),
        Pretrained("empty", "", "", 0),
        Pretrained("full", "", "https://example.org/b.pth", 0),
        Pretrained("strange", "timm/c.strange", "", None),
    ]
    assert [one.tag for one in _by_priority(found[:2])] == ["starred", "first"]
    assert [one.tag for one in _by_priority(found[2:4])] == ["full", "empty"]


@pytest.mark.parametrize(("classes", "subset"), [(11821, "imagenet-12k"), (21841, "imagenet-22k")])
def test_class_names_are_timms_first_synonyms_made_unique(classes, subset):
    from timm.data import ImageNetInfo

    full = ImageNetInfo(subset).label_descriptions()
    names = class_names(classes)
    assert len(set(names)) == len(names) == classes
    assert all(name.startswith(text.partition(",")[0]) for name, text in zip(names, full, strict=True))
    assert sum(name == text.partition(",")[0] for name, text in zip(names, full, strict=True)) > 0.85 * classes


def test_the_thousand_are_spelled_as_torchvisions():
    from timm.data import ImageNetInfo

    names = class_names(1000)
    assert names == imagenet_labels()
    full = ImageNetInfo("imagenet-1k").label_descriptions()
    differ = [i for i, (name, text) in enumerate(zip(names, full, strict=True)) if name != text.partition(",")[0]]
    assert differ == [134, 639]  # the crane that is a bird, and the second maillot
    assert class_names(7) == ()


@pytest.mark.parametrize(
    ("name", "classes", "task"),
    [
        ("resnet50", 1000, "classification"),
        ("resnet50", 10, "classification"),
        ("vit_small_patch14_dinov2", 0, "embedding"),
        ("vit_base_patch32_clip_224", 512, "embedding"),
        ("vit_base_patch32_clip_224", 1000, "classification"),
    ],
)
def test_tasks(name, classes, task):
    assert task_of(name, classes) == task
