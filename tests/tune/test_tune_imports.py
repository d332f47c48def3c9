"""What the training command loads: modules counted in a process of its own, not seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

LOAD = """
import json, sys
import tunesmith.app.cli, tunesmith.project.run
from tunesmith.tune import phases, stage, prepare, predict
from tunesmith.models import adapters, load
before = set(sys.modules)
{more}
print(json.dumps([sorted(before), sorted(set(sys.modules))]))
"""
PARTS = """
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaForCausalLM, Qwen2ForCausalLM
"""


@pytest.fixture(scope="module")
def loaded() -> tuple[set[str], set[str]]:
    """Names of the modules after importing what the stage imports, and after the libraries that it then asks."""
    code = LOAD.format(more=PARTS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    first, second = json.loads(done.stdout.strip().rpartition("\n")[2])
    return set(first), set(second)
