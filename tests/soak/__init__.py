"""The soak: one daemon with twenty peers under mixed faults for hours; its history and its leaks are judged."""
