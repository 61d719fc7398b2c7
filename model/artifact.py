"""A version on disk: one folder, described by its manifest.

    manifest.json      what the version is, and the SHA-256 of every other file; written last
    terms.json         word terms in the order of their rows
    rows.npy           a row a term, a pair of stems, a concept or a pair of concepts, and a last one of zeros: squared idf, a
                       weight for being in scope, a weight a topic
    pairs.npy          keys of the pairs of stems, by the bucket that they hash to; their rows follow the terms'
    concept_rows.npy   the row of each pair of concepts; the last one where the pair was never met
    lexicon.json       the lexicon it was trained with
    pipeline.joblib    the fitted scikit-learn pipeline, for people; never read here
    report.html        the model card
    heldout.jsonl      passages held out, with the scores they got; retraining compares on them

To change the format: raise `FORMAT`, write the new files in `training/compile.py`, read them in `model/tables.py`, and say in
CHANGELOG.md that older versions must be retrained. A manifest of another format is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model.errors import ArtifactError
from model.text import ANALYSIS

FORMAT = 2
MANIFEST = "manifest.json"
QUOTED = "passage"
"""The class of those cells of `report.html` that quote passages, which may be readers' and are not for everyone."""
SERVED_FILES = (
    "terms.json",
    "rows.npy",
    "pairs.npy",
    "concept_rows.npy",
    "lexicon.json",
)
STAGING_PREFIX = ".staging-"


def digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a version, its format checked; ArtifactError names the file that is at fault."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing; is {folder} the folder of a version?") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: cannot be read: {error}") from error
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise ArtifactError(f"{path}: not a manifest")
    for key, known in (("format", FORMAT), ("analysis", ANALYSIS)):
        if manifest.get(key) != known:
            raise ArtifactError(
                f"{path}: {key} {manifest.get(key)!r}, this program reads {known}; "
                "retrain, or use the release that wrote it"
            )
    expected = manifest.get("manifest_sha256")
    found = manifest_digest(manifest)
    if found != expected:
        raise ArtifactError(f"{path}: digest {found[:12]}, expected {str(expected)[:12]}; altered")
    return manifest


def manifest_digest(manifest: dict[str, Any]) -> str:
    """SHA-256 over the manifest's content, its own digest left out."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def verify(folder: Path) -> dict[str, Any]:
    """Checks every file of a version against its manifest and returns the manifest."""
    manifest = read_manifest(folder)
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise ArtifactError(f"{folder / MANIFEST}: no list of files")
    for name in SERVED_FILES:
        if name not in files:
            raise ArtifactError(f"{folder / MANIFEST}: {name} is not among its files")
    for name, expected in files.items():
        path = folder / name
        try:
            found = digest(path)
        except OSError as error:
            raise ArtifactError(f"{path}: {error.strerror}; the manifest lists it") from error
        if found != expected:
            raise ArtifactError(
                f"{path}: digest {found[:12]}, expected {expected[:12]}; altered or half copied"
            )
    return manifest


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Adds format and digests of every file in the folder, and writes the manifest last: a reader never sees half a version."""
    names = sorted(p.name for p in folder.iterdir() if p.name != MANIFEST)
    complete = {
        "format": FORMAT,
        "analysis": ANALYSIS,
        **manifest,
        "files": {name: digest(folder / name) for name in names},
    }
    complete["manifest_sha256"] = manifest_digest(complete)
    content = json.dumps(complete, indent=1, ensure_ascii=False) + "\n"
    write_atomically(folder / MANIFEST, content)


def write_atomically(path: Path, content: str) -> None:
    """Writes a text file beside its place, flushes it to disk and renames it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=STAGING_PREFIX)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes renames inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """A folder to write a version in, beside its final place; removed if it is still there at the end."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=STAGING_PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(staged: Path, final: Path) -> None:
    """Moves a finished version to its final place in one rename; an older folder there is replaced.

    ArtifactError where something other than a version is in the way.
    """
    for path in staged.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    staged.chmod(0o755)
    if final.exists():
        if any(final.iterdir()) and not (final / MANIFEST).exists():
            raise ArtifactError(f"{final}: is not empty and holds no version; left as it is")
        retired = Path(tempfile.mkdtemp(dir=final.parent, prefix=STAGING_PREFIX))
        os.replace(final, retired / "old")
        os.replace(staged, final)
        shutil.rmtree(retired, ignore_errors=True)
    else:
        os.replace(staged, final)
    sync_folder(final.parent)
