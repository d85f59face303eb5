"""The device catalog: names, numbers, and files that cannot be right."""

import re

import pytest

from harness.core.errors import ModelError, UsageError
from harness.core.records import data_folder
from harness.models.catalog.devices import (
    ENGINE_KINDS,
    FAMILIES,
    catalog_device,
    catalog_devices,
    device_class,
    device_classes,
    device_keys,
    read_devices,
)

FOLDER = data_folder("configs") / "catalog" / "devices"


def test_every_device_has_a_source_or_says_what_is_recalled():
    assert len(device_keys()) >= 57
    for device in catalog_devices():
        assert device.sources or device.recalled
        assert device.bandwidth_bytes_per_s >= 1e9
        assert device.engine


def test_devices_stand_by_class():
    order = [row.name for row in device_classes()]
    places = [order.index(device.device_class) for device in catalog_devices()]
    assert places == sorted(places)


def test_a_bandwidth_is_its_bus_times_its_rate():
    """Where both are stated; they are for most, so that a slip of a digit cannot stay."""
    stated = [device for device in catalog_devices() if device.memory_bits and device.memory_mt_s]
    assert len(stated) > 0.9 * len(device_keys())
    for device in stated:
        of_bus = device.memory_bits / 8 * device.memory_mt_s / 1000
        assert device.bandwidth_gb_s == pytest.approx(of_bus, rel=0.03), device.key


def test_families_name_kinds_and_all_are_used():
    assert {family.kind for family in FAMILIES} == set(ENGINE_KINDS)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


@pytest.mark.parametrize("key", device_keys())
def test_shares_are_shares(key):
    """Every class gives a range within the data sheet and says where it is from."""
    row = device_class(catalog_device(key).device_class)
    for low, high in (row.bandwidth_share, row.compute_share):
        assert 0 < low < high < 1
    assert 0 < row.operator_us[0] < row.operator_us[1]
    assert 0 <= row.os_share < 1
    assert row.basis


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("galaxy-s24", "snapdragon-8-gen-3"),
        ("Galaxy S24", "snapdragon-8-gen-3"),
        ("iphone_15_pro", "apple-a17-pro"),
        ("Raspberry Pi 5", "rpi5"),
        ("lunar-lake", "core-ultra-258v"),
        ("h100", "h100-sxm"),
        ("iphone 17 pro max", "iphone-17-pro"),
        ("galaxy-s25", "snapdragon-8-elite"),
    ],
)
def test_aliases_and_spelling(word, key):
    assert catalog_device(word).key == key


def test_unknown_device_names_the_nearest():
    with pytest.raises(UsageError) as raised:
        catalog_device("galaxy-s99")
    assert "galaxy-s2" in raised.value.fix


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('device_class = "sbc"', 'device_class = "toaster"', "toaster"),
        ("bandwidth_gb_s = 17.1", "bandwidth_gb_s = 0", "bandwidth_gb_s is 0"),
        ("bandwidth_gb_s = 17.1", 'bandwidth_gb_s = "fast"', "bandwidth_gb_s"),
        ("bandwidth_gb_s = 17.1", "bandwidth = 17.1", "bandwidth"),
        ("bandwidth_gb_s = 17.1", "bandwidth_gb_s = 34.1", r"32 bit at 4267 MT/s make 17\.1"),
        ("max_memory_gb = 16\n", "", "max_memory_gb"),
        ("max_memory_gb = 16\n", "max_memory_gb = -1\n", "max_memory_gb is -1"),
        ("memory_bits = 32", "memory_bits = 0", "memory_bits is 0"),
        ("power_w = [12, 12]", "power_w = [12]", "power_w"),
        ("power_w = [12, 12]", "power_w = [12, 6]", "power_w falls"),
        ('recalled = ["power"]', 'recalled = ["weather"]', "weather"),
        ('kind = "cpu"', 'kind = "tpu"', "kind is 'tpu'"),
        ('family = "arm-cpu"', 'family = "arm"', "family is 'arm'"),
        ('family = "arm-cpu"', 'family = "geforce"', "geforce is no family of a cpu"),
        (', family = "arm-cpu"', "", "family is ''"),
        ("fp32_tflops = 0.154", "fp32_tflops = 0", "peak or a power is 0"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, old, new, said):
    """Of a Raspberry Pi 5, changed in one place: the message names the file and what is wrong."""
    text = (FOLDER / "boards.toml").read_text(encoding="utf-8")
    text = text[: text.index("\n[[device]]", text.index('key = "rpi5"'))]
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ModelError, match=r"mine\.toml") as raised:
        read_devices(path)
    assert re.search(said, raised.value.problem)


def test_one_word_for_two_devices_is_refused(tmp_path):
    text = (FOLDER / "boards.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('aliases = ["orin-nx"', 'aliases = ["rpi5"'), encoding="utf-8")
    with pytest.raises(ModelError, match=r"'rpi5' names rpi5 and jetson-orin-nx-16gb"):
        read_devices(path)
