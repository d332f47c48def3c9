"""The stage `model`: quick to check, honest about what it reads, and a Base whose figures are known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes import edit_json, tiny_model_folder
from tunesmith.core.errors import UserError
from tunesmith.core.events import Event, Events
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base
from tunesmith.models import catalog, load, stage
from tunesmith.models.spec import ModelSpec


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def base_of(use: str, root: Path, sink: list[Event] | None = None) -> Base:
    def never(_: object) -> object:
        raise AssertionError("the stage opens no answerer")

    events = Events((sink if sink is not None else []).append)
    context = Context(root, root, root, events, 0, "run-1", never)  # type: ignore[arg-type]
    return stage.run(ModelSpec(use=use), context=context)


def test_base_of_a_tiny_llama_by_hand(tmp_path: Path) -> None:
    """Two tables of 400 x 32 = 12,800; a layer has query and output of 32 x 32, key and value of 32 x 16, three
    matrices of 32 x 64 and two norms of 32: 9,280; two layers and the last norm: 18,592. Together 44,192.
    """
    folder = tiny_model_folder(tmp_path)
    edit_json(folder / "generation_config.json", temperature=0.7, top_k=20)
    base = base_of("tiny-llama", tmp_path)
    assert base.architecture == "LlamaForCausalLM"
    assert base.parameters == base.active_parameters == 2 * 12_800 + 18_592
    assert (base.layers, base.hidden, base.vocabulary, base.context) == (2, 32, 400, 512)
    assert base.path == str(folder) and base.name == "tiny-llama"
    assert base.sampling == {"temperature": 0.7, "top_k": 20.0}
    assert base.digest.startswith("files-") and base.revision == base.digest
    assert base.chat_template_hash


def test_a_mixture_of_experts_counts_what_one_token_uses(tmp_path: Path) -> None:
    """One layer of experts: 4 of 3 x 32 x 16 = 1,536 weights each, 2 in use, so 3,072 weights rest for a token."""
    tiny_model_folder(tmp_path, "deepseek_v3")
    base = base_of("tiny-deepseek-v3", tmp_path)
    assert base.parameters - base.active_parameters == 2 * 1536


def test_the_same_files_make_the_same_base_and_other_weights_another(tmp_path: Path) -> None:
    one = base_of(str(tiny_model_folder(tmp_path)), tmp_path)
    (tmp_path / "again").mkdir()
    same = base_of(str(tiny_model_folder(tmp_path / "again")), tmp_path)
    assert same.digest == one.digest and same.chat_template_hash == one.chat_template_hash
    (tmp_path / "other").mkdir()
    other = base_of(str(tiny_model_folder(tmp_path / "other", seed=1)), tmp_path)
    assert other.digest != one.digest and other.chat_template_hash == one.chat_template_hash


def test_outside_changes_with_a_file_and_only_then(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path)
    spec = ModelSpec(use=str(folder))
    first = stage.outside(spec, tmp_path)
    assert stage.outside(spec, tmp_path) == first
    (folder / "README.md").write_text("nothing that is loaded")
    assert stage.outside(spec, tmp_path) == first
    edit_json(folder / "config.json", rope_theta=20_000.0)
    assert stage.outside(spec, tmp_path) != first


def test_unchanged_weights_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tunesmith.models import digests

    spec = ModelSpec(use=str(tiny_model_folder(tmp_path)))
    first = stage.outside(spec, tmp_path)
    monkeypatch.setattr(digests, "digest_file", lambda path: pytest.fail(f"{path} was read again"))
    assert stage.outside(spec, tmp_path) == first


def test_a_packages_model_has_the_same_digest_before_and_after_it_is_fetched(tmp_path: Path) -> None:
    entry = catalog.lookup("smollm2-135m-instruct")
    assert entry.asset is not None
    assert stage.outside(ModelSpec(), tmp_path) == {"package": entry.asset.sha256}


def test_check_and_outside_bring_neither_torch_nor_transformers(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path)
    code = (
        "import sys; from pathlib import Path; from tunesmith.models import stage; "
        "from tunesmith.models.spec import ModelSpec; spec = ModelSpec(use=sys.argv[1]); "
        "assert stage.check(spec, Path('.')) == []; stage.outside(spec, Path('.')); "
        "print(*({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == ""


def test_check_tells_all_problems_of_a_folder_without_raising(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path)
    edit_json(folder / "config.json", auto_map={"AutoModel": "x.Y"})
    (folder / "optimizer.pt").write_bytes(b"x")
    found = stage.check(ModelSpec(use=str(folder)), tmp_path)
    assert [problem.code for problem in found] == ["remote-code", "pickled-file"]


@pytest.mark.parametrize(
    ("use", "code"),
    [
        ("smolm2", "unknown-model"),
        ("deepseek-r1", "quantised-weights"),
        ("deepseek-r1-distill-qwen-7b", "offline"),
        ("auto", "no-model"),
        ("notes.txt", "no-model"),
    ],
)
def test_check_tells_what_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str, code: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "notes.txt").write_text("not a model")
    assert [problem.code for problem in stage.check(ModelSpec(use=use), tmp_path)] == [code]


def test_a_config_without_numbers_is_told(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path)
    edit_json(folder / "config.json", hidden_size="wide", num_hidden_layers=None)
    from tunesmith.models.shape import shape_of_folder

    with pytest.raises(UserError) as caught:
        shape_of_folder(folder)
    assert "hidden_size, num_hidden_layers" in caught.value.problems[0].message


HERE = ("smollm2-135m-instruct", "deepseek-r1-distill-qwen-1.5b", "deepseek-r1-distill-qwen-7b")


@pytest.mark.parametrize(("memory_gb", "chosen"), [(24, HERE[2]), (16, HERE[1]), (4, HERE[0])])
def test_auto_takes_the_largest_that_fits_and_says_why(
    monkeypatch: pytest.MonkeyPatch, memory_gb: float, chosen: str
) -> None:
    """LoRA takes about 17.8 GB for the 7 B model (see the estimate's tests), 4.9 for 1.5 B, 1.2 for SmolLM2."""
    monkeypatch.setattr(load, "at_hand", lambda entry: entry.name in HERE)
    monkeypatch.setattr(load, "_memory_gb", lambda: memory_gb)
    told: list[Event] = []
    assert load.settle(ModelSpec(use="auto"), Events(told.append)).use == chosen
    assert chosen in told[0].message and f"within {memory_gb} GB" in told[0].message


def test_auto_says_what_is_missing_where_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "at_hand", lambda entry: entry.name in HERE)
    monkeypatch.setattr(load, "_memory_gb", lambda: 1.0)
    with pytest.raises(UserError) as caught:
        load.settle(ModelSpec(use="auto"), Events())
    assert caught.value.problems[0].code == "too-big" and HERE[0] in caught.value.problems[0].message
