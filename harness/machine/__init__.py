"""The machine and its children: processes, meters, the watch over both."""
