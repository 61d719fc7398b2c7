"""The output folder: what is done, what may go on, and the manifest at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import orjson

from model.errors import BulkError
from service.bulk.plan import Plan, Stretch, difference, read_plan
from service.bulk.storage import LOCK, Storage

PLAN = "_plan.json"
MANIFEST = "_manifest.json"
DONE = "_done"
REJECTS = "_rejects"
PART_PREFIX = "part-"


def begin(output: Storage, plan: Plan, restart: bool) -> dict[str, dict[str, Any]]:
    """Makes the folder ready and returns the receipts of what is done, by part.

    BulkError where the folder holds anything else, or a run of another plan; `restart` removes that run's files first.
    """
    output.sweep()
    if restart:
        clear(output)
    stored = output.read(PLAN)
    if stored is None:
        foreign = [name for name in output.names() if name != LOCK]
        if foreign:
            raise BulkError(
                f"{output.address}: is not empty and holds no run ({foreign[0]}); left as it is"
            )
        output.write(PLAN, json.dumps(plan.to_json(), indent=1).encode())
        return {}
    changed = difference(read_plan(stored, output.within(PLAN)), plan)
    if changed is not None:
        raise BulkError(f"{output.address}: {changed}; use --restart to begin anew")
    return receipts(output)


def clear(output: Storage) -> None:
    """Removes a run's own files, the plan last; a folder without a plan is left alone."""
    if output.read(PLAN) is None:
        return
    for name in (MANIFEST, DONE, REJECTS):
        output.remove(name)
    for name in output.names():
        if name.startswith(PART_PREFIX):
            output.remove(name)
    output.remove(PLAN)


def receipts(output: Storage) -> dict[str, dict[str, Any]]:
    """The receipts of the parts that are done, by part: from the manifest of a run that has ended, else one by one."""
    manifest = output.read(MANIFEST)
    if manifest is not None:
        return {receipt["part"]: receipt for receipt in orjson.loads(manifest)["parts"]}
    found = {}
    for name in output.names(DONE):
        try:
            receipt = orjson.loads(output.read(f"{DONE}/{name}") or b"")
        except ValueError:
            continue  # half-written on a store that does not write whole files: the part is done again
        found[str(receipt["part"])] = receipt
    return found


class Receipts:
    """The names of the parts that are done, asked for one by one."""

    def __init__(self, output: Storage) -> None:
        self._output = output

    def __contains__(self, part: object) -> bool:
        return bool(self._output.read(f"{DONE}/{part}.json"))


def is_whole(stretch: Stretch, done: dict[str, dict[str, Any]]) -> bool:
    """Whether all parts of a stretch are done, told without reading it."""
    from service.bulk.records import part_name

    number = 0
    while (receipt := done.get(part_name(stretch, number))) is not None:
        if receipt["last"]:
            return True
        number += 1
    return False


def pending(plan: Plan, done: dict[str, dict[str, Any]]) -> Iterator[Stretch]:
    """The stretches that something is to do of, in order."""
    return (stretch for stretch in plan.stretches if not is_whole(stretch, done))


def end(output: Storage, plan: Plan) -> dict[str, Any]:
    """Writes the manifest, once every part is done, and removes the receipts. Returns the manifest."""
    done = receipts(output)
    missing = next(pending(plan, done), None)
    if missing is not None:
        raise BulkError(
            f"{output.address}: parts of {plan.files[missing.file].path} are missing; run again"
        )
    parts = [done[name] for name in sorted(done)]
    manifest = {
        "model": plan.model,
        "digest": plan.digest,
        "plan_sha256": hashlib.sha256(output.read(PLAN) or b"").hexdigest(),
        **{key: sum(part[key] for part in parts) for key in ("rows", "passages", "rejects")},
        "parts": parts,
    }
    if output.read(MANIFEST) is None:
        output.write(MANIFEST, json.dumps(manifest, indent=1).encode())
    output.remove(DONE)
    output.sweep()
    return manifest
