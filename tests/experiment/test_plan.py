"""What a plan says, in closed form; nothing is trained."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from galore.errors import InputError
from galore.experiment import config, pages, papers, plan, runner
from galore.experiment.plan import Cost, Job
from galore.models import factory
from galore.options import from_mapping
from galore.training.config import TrainConfig

reproduce = runner.load("reproduce")
GIB = 2**30
COST = Cost("a GPU", 4, first_stage=0.01, joint=0.02, state=GIB, memory=3 * GIB, disk=2 * GIB)


@pytest.fixture
def authors() -> TrainConfig:
    return from_mapping(TrainConfig, config.plain(config.compose(["train=authors"]))["train"])


def job(network="resnet50", is_trained=False, finished=0, student=None) -> Job:
    return Job(f"cub-{network}", "cub", network, 0, Path("nowhere"), is_trained, finished, 16, student)


def test_the_studies_are_the_papers_networks_on_their_data():
    made = papers.setting(Path("data"), Path("weights"), (0, 1, 2))
    assert len(made.studies) == 10 and [study.is_comparison for study in made.studies].count(True) == 2
    for study in made.studies:
        typed = config.typed(config.compose([*study.overrides, "seed=1"]))
        assert typed.dataset.root == f"data/{papers.FOLDERS[typed.dataset.name]}"
        assert typed.model.weights == f"weights/{papers.file_name(typed.model.name)}"
        assert typed.checkpoint == f"outputs/papers/training/{typed.dataset.name}-{typed.model.name}-seed1"
        assert typed.explanation.counter_images == "first" and typed.explanation.difficult == 100
        assert len(typed.checkpoints) == (4 if study.is_comparison else 1)
    with pytest.raises(InputError, match=r"study=cub-resnet5: no such study; .*cub-resnet50"):
        papers.selected(made, ["cub-resnet5"])


def test_the_networks_of_a_data_set_and_seed_share_a_student():
    names = ["cub-vgg16_bn", "cub-resnet50", "cub-alexnet", "ade20k-resnet50"]
    made = papers.selected(papers.setting(Path("data"), None, (0, 1)), names)
    given = reproduce.parse(["setting=papers", "data=data"])
    jobs = [job for study in made.studies for job in reproduce.jobs_of(reproduce.prepare(study, made, given))]
    students = plan.students(jobs)
    assert len(jobs) == 2 * 4 and [(one.study, one.seed) for one in students] == [
        ("cub student", 0), ("cub student", 1), ("ade20k student", 0), ("ade20k student", 1)
    ]  # fmt: skip
    for student in students:
        sharing = [one for one in jobs if one.student == student.training]
        assert [one.network for one in sharing] == (
            ["vgg16_bn", "resnet50"] if student.dataset == "cub" else ["resnet50"]
        )
        assert {(one.dataset, one.seed) for one in sharing} == {(student.dataset, student.seed)}
        assert student.is_student and student.training not in [one.training for one in jobs]
    assert [one.student for one in jobs if one.network == papers.STUDENT] == [None] * 2


def test_a_rehearsal_of_all_makes_every_experiment_and_every_network():
    made = papers.selected(papers.rehearsed(Path("outputs/rehearsal"), (0,)), [])
    whole = {study.dataset for study in made.studies if not study.only}
    assert whole == {"cub", "ade20k"} and {study.network for study in made.studies} == {*papers.NETWORKS}
    assert papers.selected(made, ["cub-alexnet"]).studies[0].only  # what was shortened stays so
    named = papers.selected(papers.rehearsed(Path("outputs/rehearsal"), (0,)), ["cub-alexnet"])
    assert [study.only for study in named.studies] == [()]
    typed = {study.name: config.typed(config.compose([*study.overrides, "seed=0"])) for study in made.studies}
    trained = {typed[study.name].checkpoint for study in made.studies if not study.is_comparison}
    for study in made.studies:
        assert trained.issuperset(typed[study.name].checkpoints), study.name


def test_experiments_about_maps_that_the_papers_do_not_have_are_left_out():
    made = papers.setting(Path("data"), None, (0,))
    prepared = reproduce.prepare(made.studies[0], made, reproduce.parse(["setting=papers", "data=data"]))
    names = {experiment.NAME for experiment in prepared.experiments}
    assert "sanity" in names and names.isdisjoint(papers.LEFT_OUT)


def test_all_that_is_missing_is_said_at_once_with_what_fetches_it(tmp_path, monkeypatch):
    content = b"weights"
    published = factory.ARCHITECTURES["alexnet"].published
    known = published._replace(sha256=hashlib.sha256(content).hexdigest())
    changed = factory.dataclasses.replace(factory.ARCHITECTURES["alexnet"], published=known)
    monkeypatch.setitem(factory.ARCHITECTURES, "alexnet", changed)
    (tmp_path / papers.file_name("alexnet")).write_bytes(content)
    (tmp_path / papers.file_name("resnet50")).write_bytes(b"something else")
    (tmp_path / "CUB_200_2011").mkdir()
    said = plan.missing(papers.setting(tmp_path, tmp_path, (0,)))
    assert [one.remedy.rpartition("fetch_data.py ")[2] for one in said] == [
        f"{name} {tmp_path}" for name in ("cub", "ade20k", "vgg16_bn", "resnet50", "resnet34")
    ]
    assert "attributes.txt is missing" in said[0].what and "SHA-256 is another one" in said[3].what


def test_nothing_starts_while_something_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "train", lambda options, at_once: pytest.fail("trained"))
    monkeypatch.setattr(plan, "costs", lambda *_: ({"resnet50": COST}, []))
    monkeypatch.setattr(plan, "available_memory", lambda: GIB)
    monkeypatch.setattr(pages, "load_studies", lambda results: [])
    with pytest.raises(InputError) as raised:
        reproduce.main(["setting=papers", f"data={tmp_path}", f"weights={tmp_path}", "study=cub-resnet50"])
    for said in ("CUB_200_2011", "resnet50-0676ba61.pth", "alexnet-owt-7be5be79.pth", "GiB of memory", "fetch_data.py"):
        assert said in str(raised.value)


def test_disk_and_memory_that_do_not_suffice(monkeypatch, authors):
    made = papers.setting(Path("data"), None, (0,))
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 3 * GIB}))
    monkeypatch.setattr(plan, "available_memory", lambda: 4 * GIB)
    jobs = [job(), job("vgg16_bn")]
    said = plan.short(made, jobs, {"resnet50": COST, "vgg16_bn": COST}, authors)
    assert len(said) == 1 and said[0].what.startswith("4.0 GiB of disk are needed, 3.0 are free")
    monkeypatch.setattr(plan, "available_memory", lambda: 2 * GIB)
    said = plan.short(made, jobs, {"resnet50": COST, "vgg16_bn": COST}, authors)
    assert len(said) == 3 and said[1].what.startswith("training resnet50 takes 3.0 GiB of memory, 2.0 are there")
    measured = dataclasses.replace(COST, batch_size=authors.batch_size, memory=50 * GIB)
    assert "takes 50.0 GiB" in plan.short(made, [job()], {"resnet50": measured}, authors)[0].what
    assert plan.short(made, [job(is_trained=True)], {"resnet50": COST}, authors) == []
    # A student is smaller than what was measured, both stages.
    student = plan.students([job(student=Path("s"))])
    assert plan.short(made, student, {"alexnet": dataclasses.replace(COST, memory=9 * GIB)}, authors) == []


def test_what_a_training_costs_follows_from_a_step(authors):
    # 1.4 GiB do not depend on the batch, 1.6 GiB are of 4 images.
    assert COST.memory_at(4) == 3 * GIB and COST.memory_at(128) == pytest.approx((1.4 + 32 * 1.6) * GIB)
    assert COST.seconds(authors, 1000) == pytest.approx(60 * 1000 * (0.01 + 0.02))


def test_the_lines_of_a_plan_add_up(authors):
    made = papers.setting(Path("data"), None, (0,))
    images, test = plan.PUBLISHED_IMAGES["cub"]
    training, student = images * 60 * (0.01 + 0.02) / 3600, images * 60 * 0.01 / 3600
    experiments = plan.EXPERIMENT_PASSES * test * 0.01 / 3 / 3600
    shared = Path("nowhere/student")
    jobs = [job(student=shared), job(is_trained=True, finished=16), job("vgg16_bn", student=shared)]
    jobs += plan.students(jobs)
    said = plan.lines(made, jobs, dict.fromkeys(papers.NETWORKS, COST), authors)
    assert f"{training + experiments:.1f}" in said[1] and "0 of 16" in said[1] and "2.0 GiB" in said[1]
    assert "finished" in said[2] and "16 of 16" in said[2] and "GiB" not in said[2]
    # AlexNet's fine-tuning for the student, once; without the checkpoint of the joint training, 1 GiB.
    assert said[4].split() == ["cub", "student", "0", "to", "do", f"{student:.1f}", "1.0", "GiB"]
    assert f"{2 * (training + experiments) + student:.0f} hours, 5.0 GiB of disk" in said[-1]


def test_a_student_is_there_once_it_is_trained_or_nobody_needs_it(tmp_path):
    (student,) = plan.students([job(student=tmp_path), job("vgg16_bn", is_trained=True, student=tmp_path)])
    assert not student.is_trained
    (student,) = plan.students([job(is_trained=True, student=tmp_path)])
    assert student.is_trained
    (tmp_path / "result.json").write_text("{}")
    (student,) = plan.students([job(student=tmp_path)])
    assert student.is_trained


def test_a_measurement_is_kept_and_made_once_for_a_device(tmp_path, monkeypatch, authors):
    def measure(network, train):
        measured.append(network)
        if network == "vgg16_bn":
            raise InputError("a step of vgg16_bn cannot be measured: out of memory")
        return COST

    measured, file = [], tmp_path / "costs.json"
    monkeypatch.setattr(plan, "measured", measure)
    assert plan.costs(["resnet50"], authors, file) == ({"resnet50": COST}, [])
    found, problems = plan.costs(["vgg16_bn", "resnet50", "alexnet"], authors, file)
    assert found == {"resnet50": COST, "alexnet": COST} and [one.remedy for one in problems] == [plan.SMALLER]
    assert measured == ["resnet50", "vgg16_bn", "alexnet"] and len(json.loads(file.read_text())) == 2
    assert plan.costs([], authors, file) == ({}, [])


def test_a_launcher_gets_each_training_that_is_not_finished_as_a_job(tmp_path, monkeypatch):
    commands = []
    for name in ("rejection", "deliberative_network"):
        runner.load(name)
    monkeypatch.setattr(reproduce.subprocess, "run", lambda command, **_: commands.append(command))
    monkeypatch.setattr(config, "ROOT", tmp_path)
    given = reproduce.parse(
        ["setting=papers", f"data={tmp_path}/it's", "study=cub-resnet50,ade20k-alexnet,cub-networks", "seed=0,1",
         "only=rejection,deliberative_network", "train.batch_size=32", "workers=2", "hydra/launcher=joblib"]
    )  # fmt: skip
    asked = reproduce.asked_for(given)
    prepared = [reproduce.prepare(study, asked, given) for study in asked.studies]
    finished = tmp_path / "outputs" / "papers" / "training" / "ade20k-alexnet-seed0"
    finished.mkdir(parents=True)
    (finished / "result.json").write_text("{}")
    reproduce.launch(prepared, given)
    _, program, studies, seeds, arguments, launcher, flag = commands.pop()
    assert program.endswith("experiments/job.py") and (launcher, flag) == ("hydra/launcher=joblib", "-m")
    # What is finished ends at once: it has experiments to run, which are not.
    assert studies == "study=cub-resnet50,ade20k-alexnet" and seeds == "seed=0,1"
    read = config.hydra.core.override_parser.overrides_parser.OverridesParser.create().parse_override(arguments)
    assert read.value() == [
        "setting=papers", f"data={tmp_path}/it's", "only=rejection,deliberative_network", "workers=2",
        "train.batch_size=32",
    ]  # fmt: skip
