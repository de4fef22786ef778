"""The networks, and the one way to load them."""

from galore.models.loading import load, names, save_safetensors

__all__ = ["load", "names", "save_safetensors"]
