from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from conftest import copy_version as copy

from model import ArtifactError, Classifier, artifact


def rewrite(folder: Path, **changes: object) -> None:
    """Changes the manifest and signs it anew, as another program would write it."""
    path = folder / artifact.MANIFEST
    manifest = {**json.loads(path.read_text()), **changes}
    manifest["manifest_sha256"] = artifact.manifest_digest(manifest)
    path.write_text(json.dumps(manifest))


def test_every_file_is_in_the_manifest(version):
    names = {path.name for path in version.iterdir()} - {artifact.MANIFEST}
    assert set(artifact.read_manifest(version)["files"]) == names
    assert {"pipeline.joblib", "report.html", "rows.npy", "heldout.jsonl"} <= names


def test_any_flipped_byte_is_refused_with_the_files_name(version, tmp_path):
    folder = copy(version, tmp_path / "v")
    generator = random.Random(5)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for place in [0, len(content) - 1, *(generator.randrange(len(content)) for _ in range(5))]:
            changed = bytearray(content)
            changed[place] ^= 1 << generator.randrange(8)
            path.write_bytes(changed)
            if path.name == artifact.MANIFEST and _same_json(content, bytes(changed)):
                continue
            with pytest.raises(ArtifactError, match=path.name):
                Classifier.load(folder)
        path.write_bytes(content)
    Classifier.load(folder)


def _same_json(before: bytes, after: bytes) -> bool:
    """Whether a flip only turned white space into other white space."""
    try:
        return json.loads(before) == json.loads(after)
    except ValueError:
        return False


def test_a_missing_file_is_refused_with_its_name(version, tmp_path):
    for name in sorted(path.name for path in version.iterdir()):
        folder = copy(version, tmp_path / name)
        (folder / name).unlink()
        with pytest.raises(ArtifactError, match=name):
            Classifier.load(folder)


def test_an_extra_topic_is_refused(version, tmp_path):
    folder = copy(version, tmp_path / "v")
    manifest = artifact.read_manifest(folder)
    rewrite(folder, topics=[*manifest["topics"], {"slug": "extra"}])
    with pytest.raises(ArtifactError, match=r"rows\.npy: shape \(26,\), expected \(27,\)"):
        Classifier.load(folder)


@pytest.mark.parametrize("key", ["format", "analysis"])
def test_a_newer_format_is_refused(version, tmp_path, key):
    folder = copy(version, tmp_path / "v")
    rewrite(folder, **{key: 99})
    with pytest.raises(ArtifactError, match=f"{key} 99, this program reads"):
        Classifier.load(folder)


def test_a_pickled_table_is_refused_even_when_signed(version, tmp_path):
    folder = copy(version, tmp_path / "v")
    np.save(folder / "rows.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    files = {
        path.name: artifact.digest(path)
        for path in folder.iterdir()
        if path.name != artifact.MANIFEST
    }
    rewrite(folder, files=files)
    with pytest.raises(ArtifactError, match=r"rows\.npy: not a table"):
        Classifier.load(folder)


def test_a_manifest_without_the_served_files_is_refused(version, tmp_path):
    folder = copy(version, tmp_path / "v")
    rewrite(folder, files={})
    with pytest.raises(ArtifactError, match=r"terms\.json is not among its files"):
        Classifier.load(folder)


def test_a_folder_that_is_no_version_is_said_so(tmp_path):
    with pytest.raises(ArtifactError, match=r"is .* the folder of a version"):
        Classifier.load(tmp_path)


def test_publishing_over_something_else_is_refused(version, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("keep")
    staged = copy(version, tmp_path / "staged")
    with pytest.raises(ArtifactError, match="holds no version; left as it is"):
        artifact.publish(staged, other)
    assert (other / "mine.txt").read_text() == "keep"


def test_publishing_replaces_an_older_version_whole(version, tmp_path):
    old = copy(version, tmp_path / "v")
    (old / "stray").write_text("x")
    artifact.publish(copy(version, tmp_path / "staged"), old)
    assert not (old / "stray").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["v"]
    Classifier.load(old)


def test_staging_leaves_nothing_behind(tmp_path):
    with pytest.raises(FileNotFoundError), artifact.staging(tmp_path) as folder:
        (folder / "half" / "missing").write_text("x")
    assert list(tmp_path.iterdir()) == []
