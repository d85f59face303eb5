"""Unit constants. Store ns and bytes; convert when drawing. MiB = 2**20, GB = 1e9."""

KIB = 2**10
MIB = 2**20
GIB = 2**30
GB = 10**9
NS_PER_US = 10**3
NS_PER_MS = 10**6
NS_PER_S = 10**9
