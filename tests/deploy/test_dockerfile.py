"""The Dockerfile: its steps run in a folder, and no image contains a secret."""

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from one_runtime import RELEASE
from one_runtime.encryption.vault import new_key
from scripts.bootstrap import UV, environment
from tests.deploy.dockerfile import Scratch, Stage, builders_environment, healthcheck, sent, stages
from tests.deploy.proxies import DEPLOY
from tests.documentation import ROOT
from tests.ports import free_port
from tests.waiting import attempts

TEXT: Final = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMMIT: Final = "1a2b3c4d" * 5
OF_THE_SYSTEM: Final = ("useradd",)
EXACT_PYTHON: Final = re.compile(r"python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?")


@pytest.fixture(scope="module")
def build() -> Stage:
    return stages(TEXT)[0]


@pytest.fixture(scope="module")
def final() -> Stage:
    return stages(TEXT)[-1]


def test_image_runs_without_privileges_and_copies_only_the_build(build: Stage, final: Stage) -> None:
    assert build.base == final.base
    assert final.words("COPY") == ["--from=build /opt/one-runtime /opt/one-runtime"]
    (user,) = final.words("USER")
    assert int(user) > 0
    (commands,) = final.words("RUN")
    assert f"--uid {user} " in commands
    assert final.words("VOLUME") == final.words("WORKDIR") == ["/var/lib/one-runtime"]
    assert final.words("STOPSIGNAL") == ["SIGTERM"]


def test_base_images_have_exact_versions_of_python_and_debian(build: Stage, final: Stage) -> None:
    """A tag such as `3.13-slim` changes with each release, so two builds of one commit could differ."""
    for stage in (build, final):
        assert EXACT_PYTHON.fullmatch(stage.base), stage.base


@pytest.mark.slow
def test_no_layer_contains_a_secret(build: Stage, final: Stage) -> None:
    texts = [step.rest for stage in (build, final) for step in stage.steps if step.word in {"ENV", "ARG"}]
    assert not any(word in text for text in texts for word in ("ENCRYPTION_KEYS", "DATABASE_URL", "PASSWORD", "TOKEN"))
    assert not any(step.word == "ADD" for stage in (build, final) for step in stage.steps)
    assert (build.words("ARG"), final.words("ARG")) == (["SOURCE_COMMIT="], ["SOURCE_COMMIT="])
    names = {path.relative_to(ROOT).parts[0] for path in sent(ROOT)}
    assert names == {"pyproject.toml", "uv.lock", "README.md", "LICENSE", "hatch_build.py", "src"}
    assert not [path for path in sent(ROOT, "src") if path.suffix in {".db", ".pyc"}]


def test_labels_describe_the_image(final: Stage) -> None:
    (text,) = final.words("LABEL")
    labels = dict(pair.split("=", 1) for pair in shlex.split(text))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()} == {
        "title": "One Runtime",
        "description": "Embedded integrations, self-hosted",
        "licenses": project["license"],
        "base.name": f"docker.io/library/{final.base}",
        "revision": "$SOURCE_COMMIT",
    }


def test_image_and_repository_use_the_same_uv(build: Stage) -> None:
    assert f"pip install --no-cache-dir {UV}" in build.words("RUN")


@pytest.fixture(scope="module")
def image(build: Stage, final: Stage, tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """Run both stages in one folder, with the repository's uv cache to save downloads."""
    folder = tmp_path_factory.mktemp("image")
    scratch = Scratch(folder, ROOT, builders_environment(folder, environment()) | {"SOURCE_COMMIT": COMMIT})
    del scratch.environ["UV_PROJECT_ENVIRONMENT"]
    steps = tuple(step for step in build.steps if step.word != "ENV")
    (env,) = build.words("ENV")
    scratch._set(env.replace(" UV_NO_CACHE=1", ""))
    assert scratch.carry_out(Stage(build.base, build.name, steps), leave_out=()) == []
    assert len(scratch.carry_out(final, leave_out=OF_THE_SYSTEM)) == 1
    return scratch


@pytest.fixture
def served(image: Scratch, final: Stage, tmp_path: Path) -> Iterator[int]:
    """Start the container's command and return its port."""
    port = free_port()
    settings = {
        "ONE_RUNTIME_ENCRYPTION_KEYS": new_key(),
        "ONE_RUNTIME_DATABASE_URL": f"sqlite:///{tmp_path}/one-runtime.db",
        "ONE_RUNTIME_LISTEN": f"0.0.0.0:{port}",
    }
    image.environ |= settings
    command = [str(image.root / "opt/one-runtime/bin/one-runtime"), "serve"]
    assert final.words("ENTRYPOINT") + final.words("CMD") == ['["one-runtime"]', '["serve"]']
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=image.environ, cwd=image.folder, stdout=log, stderr=log)
    try:
        for _ in attempts(60):
            assert process.poll() is None, (tmp_path / "log").read_text()
            if image.run(healthcheck(final)).returncode == 0:
                break
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.slow
@pytest.mark.foreign
@pytest.mark.timeout(300)
def test_steps_of_the_dockerfile_build_a_healthy_server(image: Scratch, served: int, final: Stage) -> None:
    assert image.run(["one-runtime", "version"]).stdout.strip() == f"{RELEASE}+g1a2b3c4"
    folder = image.root / "opt" / "one-runtime"
    (where,) = folder.glob("lib/python3.*/site-packages/one_runtime/catalog/catalog.json")
    assert where.is_file(), "the catalog is part of the wheel"
    assert list(folder.glob("lib/python3.*/site-packages/pytest")) == [], "the image must not contain test dependencies"
    assert list(folder.glob("lib/python3.*/site-packages/opentelemetry/sdk")) != [], (
        "the image must contain the extra for traces"
    )
    assert image.run(healthcheck(final)).returncode == 0
    assert not (image.root / "build" / "tests").exists()


@pytest.mark.slow
@pytest.mark.foreign
@pytest.mark.timeout(300)
def test_health_check_fails_without_a_server(image: Scratch, final: Stage) -> None:
    image.environ["ONE_RUNTIME_LISTEN"] = f"0.0.0.0:{free_port()}"
    assert image.run(healthcheck(final)).returncode != 0
    assert os.environ.get("ONE_RUNTIME_LISTEN") is None
