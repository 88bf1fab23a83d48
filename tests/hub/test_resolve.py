"""MODEL names that lie on this machine, and what is said of those that do not."""

import pytest

from potstill.errors import ModelMissing
from potstill.files import write_text
from potstill.hub.resolve import LocalModel, resolve
from potstill.progress import Silent


def test_a_folder_in_hugging_face_layout_is_taken_as_it_is(tmp_path):
    write_model(tmp_path)
    assert resolve(str(tmp_path), progress=Silent()) == LocalModel(tmp_path, str(tmp_path), "folder")


def test_an_adapter_in_peft_layout_is_a_folder_too(tmp_path):
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        write_text(tmp_path / file, "{}")
    assert resolve(str(tmp_path), progress=Silent()).origin == "folder"


def test_a_runs_folder_stands_for_its_student(tmp_path):
    write_model(tmp_path / "student")
    assert resolve(str(tmp_path), progress=Silent()) == LocalModel(tmp_path / "student", str(tmp_path), "run")


def test_a_gguf_file_or_a_folder_with_one_is_that_file(tmp_path):
    file = tmp_path / "model.gguf"
    write_text(file, "GGUF")
    assert resolve(str(file), progress=Silent()) == LocalModel(file, str(file), "gguf")
    assert resolve(str(tmp_path), progress=Silent()).path == file
    write_text(tmp_path / "other.gguf", "GGUF")
    with pytest.raises(ModelMissing, match="holds 2 GGUF files"):
        resolve(str(tmp_path), progress=Silent())


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_model(tmp_path / "mine")
    assert resolve("~/mine", progress=Silent()).path == tmp_path / "mine"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth"])
def test_a_pickle_is_refused_by_name(tmp_path, name):
    write_text(tmp_path / "config.json", "{}")
    write_text(tmp_path / name, "")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(ModelMissing, match=f"{name}, a pickle"):
            resolve(str(path), progress=Silent())


def test_a_half_written_model_is_named(tmp_path):
    write_text(tmp_path / "config.json", "{}")
    with pytest.raises(ModelMissing, match=r"no \*\.safetensors"):
        resolve(str(tmp_path), progress=Silent())


def test_an_unfinished_run_says_how_to_finish_it(tmp_path):
    with pytest.raises(ModelMissing, match="potstill run resume"):
        resolve(str(tmp_path), progress=Silent())


@pytest.mark.parametrize(
    "name",
    [
        "no-such-model",
        "./missing",
        "/missing/folder",
        "a/b/c",
        "",
        "../x",
        "ms://a",
        "ms://a/b/c",
        "a/b@",
        "~/none",
    ],
)
def test_an_unknown_name_says_what_a_model_can_be(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelMissing) as error:
        resolve(name, progress=Silent())
    assert error.value.exit_code == 4
    assert "\n" not in str(error.value)


def test_a_revision_of_what_is_no_hub_id_is_refused(tmp_path):
    write_model(tmp_path)
    for name in (str(tmp_path), "gemma-3-270m"):
        with pytest.raises(ModelMissing, match="no revision main"):
            resolve(name, revision="main", progress=Silent())


@pytest.mark.weights
def test_the_embedded_models_name_gives_its_file():
    model = resolve("gemma-3-270m", progress=Silent())
    assert (model.origin, model.path.suffix) == ("embedded", ".gguf")
    assert model.revision is not None
    assert model.revision.startswith("a5fd3b62")


def write_model(folder):
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        write_text(folder / file, "{}")
