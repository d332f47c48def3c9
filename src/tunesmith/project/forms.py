"""The forms that an expert can be exported in; of its own, since the command line shows them before anything heavy."""

from typing import Literal

Form = Literal["safetensors", "gguf-q8_0", "gguf-f16"]
