"""Benchmarks: each prints ratios measured side by side in one run. Speed is never tested, only shown."""
