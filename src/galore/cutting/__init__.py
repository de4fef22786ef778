"""Any model of any framework, cut at a layer by its name."""

from galore.cutting.cut import cut
from galore.cutting.table import Layer, Layers, layers

__all__ = ["Layer", "Layers", "cut", "layers"]
