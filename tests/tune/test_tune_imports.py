"""What the training command loads: modules of a process of its own that trains are counted, not seconds.

Transformers takes torch's compiler, DTensor, scipy and accelerate with every model class, and PEFT all of its tuners;
there is no documented way around either. What is held here is that nothing beside them comes along.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tune_fakes import some_rows, tiny_base, tokens_of

TRAIN = """
import json, sys
from pathlib import Path
import tunesmith.app.cli, tunesmith.project.run
from tunesmith.core.events import Events
from tunesmith.core.protocols import Context
from tunesmith.core.types import Base, Profile, Snapshot, Tokens
from tunesmith.tune import stage
from tunesmith.tune.spec import TuneSpec

before = sorted(sys.modules)
folder = Path(sys.argv[1])
for name in ("out", "scratch"):
    (folder / name).mkdir()
told = json.loads((folder / "job.json").read_text())
context = Context(folder, folder / "out", folder / "scratch", Events(), 0, "run-0", None)
stage.run(
    TuneSpec.model_validate(told["spec"]),
    base=Base.model_validate(told["base"]),
    profile=Profile(problem="test", task="generation"),
    snapshot=Snapshot(rows_in=0, kept=0),
    tokens=Tokens.model_validate({**told["tokens"], "folder": told["folder"]}),
    context=context,
)
print(json.dumps([before, sorted(sys.modules)]))
"""
UNUSED = {
    *("datasets", "sklearn", "pandas", "statsmodels", "sentence_transformers", "matplotlib", "plotly", "nltk"),
    *("bitsandbytes", "torchvision", "torchaudio", "torchao", "deepspeed", "gguf", "sacrebleu", "rouge_score"),
    *("tensorboard", "wandb", "mlflow", "trackio", "selectolax", "ftfy"),
    *("transformers.trainer", "transformers.training_args", "transformers.pipelines", "peft.optimizers"),
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """Names of the modules before and after a training of a tiny model."""
    folder = tmp_path_factory.mktemp("job")
    base = tiny_base(folder)
    tokens = tokens_of(folder / "tokens", some_rows(6), some_rows(2, seed=1))
    spec = {"strategy": {"use": "lora", "rank": 4, "alpha": 8}, "rows_per_step": 4, "epochs": 1, "learning_rate": 0.01}
    job = {"spec": spec, "base": base.model_dump(mode="json"), "tokens": tokens.model_dump(mode="json")}
    (folder / "job.json").write_text(json.dumps({**job, "folder": str(tokens.folder)}))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", TRAIN, str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout.strip().rpartition("\n")[2])
    return set(before), set(after)


def test_a_training_loads_no_library_that_it_does_not_use(loaded: tuple[set[str], set[str]]) -> None:
    assert UNUSED & loaded[1] == set()


def test_of_transformers_models_only_the_one_that_is_trained_and_what_peft_asks_for(
    loaded: tuple[set[str], set[str]],
) -> None:
    """PEFT takes Bloom's class to compare with; configurations and tables of names are light and are not counted."""
    classes = {
        name.split(".")[2] for name in loaded[1] if ".modeling_" in name and name.startswith("transformers.models.")
    }
    assert classes <= {"llama", "bloom", "auto"}


def test_the_command_line_and_the_runner_load_no_model_library(loaded: tuple[set[str], set[str]]) -> None:
    assert {"torch", "transformers", "peft", "scipy", "pyarrow", "numpy.random"} & loaded[0] == set()


def test_what_is_ours_is_small_beside_the_libraries(loaded: tuple[set[str], set[str]]) -> None:
    """Of some 3,300 modules at most 150 are tunesmith's own."""
    own = {name for name in loaded[1] if name.startswith("tunesmith")}
    assert 40 < len(own) <= 150
    assert not [name for name in own if name.startswith(("tunesmith.evaluate.metrics", "tunesmith.data.read"))]
