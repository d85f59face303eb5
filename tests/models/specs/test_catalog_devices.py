"""The device catalog: names, numbers, and files that cannot be right."""

import re

import pytest

from harness.core.errors import ModelError, UsageError
from harness.core.records import data_folder
from harness.models.catalog.cores import core_peaks
from harness.models.catalog.devices import (
    RECALLED,
    catalog_device,
    catalog_devices,
    device_class,
    device_classes,
    read_devices,
)
from harness.models.catalog.families import ENGINE_KINDS, FAMILIES

FOLDER = data_folder("configs") / "catalog" / "devices"


def test_there_are_devices_of_every_class_and_family():
    devices = catalog_devices()
    assert len(devices) >= 350
    assert {device.device_class for device in devices} == {row.name for row in device_classes()}
    used = {engine.family for device in devices for engine in device.engine}
    assert used == {family.name for family in FAMILIES}
    assert {family.kind for family in FAMILIES} == set(ENGINE_KINDS)


def test_every_device_has_a_source_or_says_what_is_recalled():
    for device in catalog_devices():
        assert device.sources or {"memory", "bandwidth"} <= set(device.recalled), device.key
        assert device.power_w, device.key
        assert set(device.recalled) <= set(RECALLED)
        for engine in device.engine:
            assert engine.name, device.key


def test_devices_stand_by_class():
    order = [row.name for row in device_classes()]
    places = [order.index(device.device_class) for device in catalog_devices()]
    assert places == sorted(places)


def test_a_bandwidth_is_its_bus_times_its_rate():
    """Of all but those whose bus is not known, within what makers round."""
    form = re.compile(r"[\w]+-([\d.]+), (\d+) bit.*")
    unknown = []
    for device in catalog_devices():
        match = form.fullmatch(device.memory_type)
        if match is None:
            unknown.append(device.key)
            continue
        of_bus = int(match[2]) / 8 * float(match[1]) / 1000
        assert device.bandwidth_gb_s == pytest.approx(of_bus, rel=0.03), device.key
    assert unknown == ["hailo-8l"]


def test_rates_are_those_of_their_kind_of_memory():
    """A slip of a digit leaves the range that its kind is made in."""
    made = {
        "LPDDR2": (400, 1066),
        "LPDDR4": (1600, 4267),
        "LPDDR4X": (2133, 4267),
        "LPDDR5": (4250, 6400),
        "LPDDR5X": (6800, 10667),
        "LPDDR5T": (9600, 9600),
        "DDR4": (2133, 3200),
        "DDR5": (4800, 8000),
        "GDDR5": (5000, 9000),
        "GDDR5X": (10000, 12000),
        "GDDR6": (10000, 20000),
        "GDDR6X": (19000, 24000),
        "GDDR7": (18000, 32000),
        "HBM2": (1400, 2430),
        "HBM2e": (2400, 3700),
        "HBM3": (5100, 5300),
        "HBM3e": (6000, 8000),
    }
    for device in catalog_devices():
        match = re.match(r"(\w+)-([\d.]+), ", device.memory_type)
        if match is not None:
            low, high = made[match[1]]
            assert low <= float(match[2]) <= high, device.key


def test_peaks_of_matrix_units_stand_in_their_proportion():
    """A slip of a digit leaves them: 8 bit beside 16 bit, 16 bit beside 32 bit."""
    for device in catalog_devices():
        for engine in device.engine:
            int8, half, full = engine.int8_tops, engine.fp16_tflops, engine.fp32_tflops
            if int8 and half:
                assert 0.4 <= int8 / half <= 4.1, (device.key, engine.name)
            if half and full:
                assert 0.9 <= half / full <= 36, (device.key, engine.name)


def test_the_share_of_the_system_is_one():
    """Every class of a device leaves something for a model, and keeps nothing below none."""
    kept = {
        name: device_class(name).os_share for name in {d.device_class for d in catalog_devices()}
    }
    assert all(0 <= share < 1 for share in kept.values()), kept


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
        ("NVIDIA GeForce RTX 3060", "rtx-3060"),
        ("AMD Ryzen AI Max+ 395", "ryzen-ai-max-395"),
        ("Samsung Galaxy S25 Ultra", "snapdragon-8-elite"),
        ("google pixel 9", "tensor-g4"),
        ("Intel(R) Core(TM) Ultra 7 155H", "core-ultra-155h"),
        ("12th Gen Intel(R) Core(TM) i7-1260P", "core-i7-1260p"),
        ("AMD Ryzen 7 7840HS w/ Radeon 780M Graphics", "ryzen-7-7840hs"),
        ("AMD Ryzen 9 9950X 16-Core Processor", "ryzen-9-9950x"),
        ("Intel(R) Xeon(R) Gold 6138 CPU @ 2.00GHz", "xeon-gold-6138"),
        ("NVIDIA GeForce RTX 4070 Laptop GPU", "rtx-4070-laptop"),
        ("Apple M4 Max", "apple-m4-max"),
        ("NVIDIA RTX 5880 Ada Generation", "rtx-5880-ada"),
        ("GeForce RTX 3060 12 GB", "rtx-3060"),
        ("jetson orin nx 8gb", "jetson-orin-nx-8gb"),
        ("galaxy-s25", "snapdragon-8-elite"),
        ("m1-max-32", "apple-m1-max"),
        ("Apple M2 Ultra 76 cores", "apple-m2-ultra"),
        ("mac-studio-m4-max", "apple-m4-max"),
        ("MacBook Pro M3", "apple-m3"),
        ("i7-1165g7", "core-i7-1165g7"),
        ("Intel i5-12400 CPU", "core-i5-12400"),
    ],
)
def test_aliases_and_spelling(word, key):
    assert catalog_device(word).key == key


def test_unknown_device_names_the_nearest():
    with pytest.raises(UsageError) as raised:
        catalog_device("galaxy-s99")
    assert "galaxy-s2" in raised.value.fix


MINE = """device_class = "sbc"

[[device]]
key = "board"
name = "A board"
aliases = ["my-board"]
memory = "LPDDR4X-4267, 32 bit"
max_memory_gb = 16
bandwidth_gb_s = 17.1
power_w = [12, 12]
sources = ["its data sheet"]
recalled = ["power"]
engine = [
  { family = "rknpu", name = "NPU", int8_tops = 6 },
  { family = "arm-cpu", cores = "4x A76 2.4 + 4x A55 1.8" },
]
"""


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_file_writes_becomes_a_device(tmp_path):
    """The family says the kind, the cores say the peaks."""
    (device,) = read_devices(written(tmp_path, MINE))
    assert (device.device_class, device.memory_type) == ("sbc", "LPDDR4X-4267, 32 bit")
    npu, cpu = device.engine
    assert (npu.kind, npu.int8_tops, npu.note) == ("npu", 6, "vendor")
    assert (cpu.kind, cpu.name) == ("cpu", "4x A76 2.4 + 4x A55 1.8 GHz")
    assert cpu.int8_tops == pytest.approx((4 * 2.4 * 64 + 4 * 1.8 * 32) / 1000, rel=0.01)
    assert cpu.fp32_tflops == pytest.approx((4 * 2.4 * 16 + 4 * 1.8 * 8) / 1000, rel=0.01)


def test_without_a_bandwidth_it_is_that_of_the_bus(tmp_path):
    (device,) = read_devices(written(tmp_path, MINE.replace("bandwidth_gb_s = 17.1\n", "")))
    assert device.bandwidth_gb_s == pytest.approx(17.07, abs=0.01)


def test_without_sources_everything_is_recalled(tmp_path):
    text = MINE.replace('sources = ["its data sheet"]\nrecalled = ["power"]\n', "")
    (device,) = read_devices(written(tmp_path, text))
    assert device.recalled == RECALLED
    assert "memory, bandwidth, peaks, power" in device.remarks[-1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('device_class = "sbc"', 'device_class = "toaster"', "is called 'toaster'"),
        ('device_class = "sbc"\n', "", "device_class"),
        ("bandwidth_gb_s = 17.1", "bandwidth_gb_s = 0", "bandwidth_gb_s is 0"),
        ("bandwidth_gb_s = 17.1", 'bandwidth_gb_s = "fast"', "bandwidth_gb_s"),
        ("bandwidth_gb_s = 17.1", "bandwidth = 17.1", "bandwidth"),
        ("bandwidth_gb_s = 17.1", "bandwidth_gb_s = 34.1", r"32 bit at 4267 MT/s make 17\.1"),
        ('memory = "LPDDR4X-4267, 32 bit"\n', "", "memory"),
        ("LPDDR4X-4267, 32 bit", "LPDDR4X-4267, 0 bit", "memory is 0"),
        ("max_memory_gb = 16\n", "", "max_memory_gb"),
        ("max_memory_gb = 16\n", "max_memory_gb = -1\n", "max_memory_gb is -1"),
        ("power_w = [12, 12]", "power_w = [12]", "power_w"),
        ("power_w = [12, 12]", "power_w = [12, 6]", "power_w falls"),
        ('recalled = ["power"]', 'recalled = ["weather"]', "weather"),
        ('family = "arm-cpu"', 'family = "arm"', "family is 'arm'"),
        ('family = "arm-cpu", ', "", "family is ''"),
        ('family = "arm-cpu"', 'family = "geforce"', "only a cpu has cores"),
        ("int8_tops = 6", "int8_tops = 0", "int8_tops is 0"),
        ("int8_tops = 6", "int8_tops = 6, power_w = [3, 2]", "power_w falls"),
        ('name = "NPU", ', "", "neither a name nor cores"),
        ("4x A76 2.4", "4x A99 2.4", "no core is called 'A99'"),
        ("4x A76 2.4", "four A76", "cores are 'four A76"),
        ('key = "board"', 'key = "my-board"', "'my-board' names my-board and my-board"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, old, new, said):
    """The message names the file, the device and what is wrong."""
    assert old in MINE
    with pytest.raises(ModelError, match=r"mine\.toml|devices") as raised:
        read_devices(written(tmp_path, MINE.replace(old, new, 1)))
    assert re.search(said, raised.value.problem)


def test_a_memory_that_says_no_bandwidth_needs_one(tmp_path):
    text = MINE.replace("LPDDR4X-4267, 32 bit", "LPDDR4X").replace("bandwidth_gb_s = 17.1\n", "")
    with pytest.raises(ModelError, match="no bandwidth_gb_s is stated"):
        read_devices(written(tmp_path, text))


def test_a_device_without_engines_is_refused(tmp_path):
    text = MINE[: MINE.index("engine = [")] + "engine = []\n"
    with pytest.raises(ModelError, match="it has no engine"):
        read_devices(written(tmp_path, text))


def test_cores_without_16_bit_have_no_peak_of_it():
    """One group without it is enough: its cores would do nothing."""
    peaks = core_peaks("2x A76 2.0 + 4x A53 1.5", "here")
    assert peaks.fp16_tflops is None
    assert peaks.int8_tops is None
    assert peaks.fp32_tflops == pytest.approx((2 * 2 * 16 + 4 * 1.5 * 8) / 1000, rel=0.01)
