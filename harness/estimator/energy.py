"""Energy: a floor from physics, and a model from stated watts. Never a measurement.

The floor is far below what platforms draw: 8 times on a laptop GPU, 240 times on a Raspberry Pi 4.
"""

from harness.core.errors import UsageError

J_PER_KWH = 3.6e6
PICO = 1e-12
MAX_PRICE_PER_KWH = 1e9  # in any currency
# Least energy to move one byte out of memory, pJ; by the first letters of the memory's type.
# LPDDR 4-8 pJ/bit, DDR 12-20, GDDR 7-7.5 (ranges of general knowledge, the least is taken);
# HBM 3.9 pJ/bit (O'Connor et al., MICRO 2017).
MEMORY_PJ_PER_BYTE = {"LPDDR": 32.0, "DDR": 96.0, "GDDR": 56.0, "HBM": 31.2}
# The least published: 0.22 pJ per fused multiply-add in 8 bit on one data-centre GPU.
COMPUTE_PJ_PER_FLOP = 0.11


def memory_pj_per_byte(memory_type: str) -> float | None:
    """Least energy of reading one byte from memory of this type; None for an unknown one."""
    kinds = (kind for kind in MEMORY_PJ_PER_BYTE if memory_type.startswith(kind))
    kind = next(kinds, None)
    return None if kind is None else MEMORY_PJ_PER_BYTE[kind]


def floor_j(read_bytes: float, flop: float, pj_per_byte: float) -> float:
    """Energy below which no device of this memory can do the work, in joules.

        J = (bytes · pJ/byte + flop · pJ/flop) / 1e12

    Leaves out leakage, caches, the operating system, the power supply: almost everything.
    Source: Horowitz, ISSCC 2014 (form); numbers as above.
    """
    return (read_bytes * pj_per_byte + flop * COMPUTE_PJ_PER_FLOP) * PICO


def modelled_j(power_w: float, seconds: float) -> float:
    """Energy of work that takes `seconds` at a stated power: P · t. Modelled, not measured."""
    return power_w * seconds


def cost_per_million_tokens(j_per_token: float, price_per_kwh: float) -> float:
    """Operating cost of a million tokens, in the currency of the price.

        J/token · 1e6 / 3.6e6 J/kWh · price

    Raises:
        UsageError: the price is negative, or none that anyone pays.
    """
    check_price(price_per_kwh)
    return j_per_token * 1e6 / J_PER_KWH * price_per_kwh


def check_price(price_per_kwh: float) -> None:
    """Refuse a price that is negative, or none that anyone pays.

    Raises:
        UsageError: it is.
    """
    if not 0 <= price_per_kwh <= MAX_PRICE_PER_KWH:
        raise UsageError(f"--price-per-kwh {price_per_kwh}", fix="--price-per-kwh 0.20")
