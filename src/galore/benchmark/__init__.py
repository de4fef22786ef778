"""What explanations cost, measured so that it can be repeated: `galore bench` and scripts/benchmark.py."""
