"""Which tests try odd inputs."""

COLLECTED: dict[str, str] = {}
"""Every test that was collected, and the kind of odd input that it tries; "" for none."""
