"""The device catalog: names, numbers, and files that cannot be right."""

import pytest

from harness.core.errors import ModelError, UsageError
from harness.core.records import data_folder
from harness.models.catalog.catalog import catalog_device, device_class, device_keys, read_devices


def test_the_catalog_has_23_devices_with_sources_and_positive_numbers():
    assert len(device_keys()) == 23
    for key in device_keys():
        device = catalog_device(key)
        assert device.sources
        assert device.bandwidth_bytes_per_s > 1e10
        assert device.max_memory_bytes >= 8e9
        assert device.power_w[0] >= 5


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
    ],
)
def test_aliases_and_spelling(word, key):
    assert catalog_device(word).key == key


def test_unknown_device_names_the_nearest():
    with pytest.raises(UsageError) as raised:
        catalog_device("galaxy-s25")
    assert "galaxy-s24" in raised.value.fix


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('device_class = "sbc"', 'device_class = "toaster"'),
        ("bandwidth_gb_s = 17.1", "bandwidth_gb_s = 0"),
        ("bandwidth_gb_s = 17.1", 'bandwidth_gb_s = "fast"'),
        ("bandwidth_gb_s = 17.1", "bandwidth = 17.1"),
        ("power_w = [12, 12]", "power_w = [12]"),
        ("power_w = [12, 12]", "power_w = [12, 6]"),
        ('key = "rpi5"', 'key = "rtx-4090"'),
        ('kind = "cpu"', 'kind = "tpu"'),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, old, new):
    text = (data_folder("configs") / "catalog" / "devices.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "devices.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ModelError, match=r"devices\.toml"):
        read_devices(path)
