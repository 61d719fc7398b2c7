"""Commands that keep the service: ``python -m service {keys,feedback,database}``. Heavy imports wait until a command runs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import SettingsError
from service.keys import SCOPES, create_key, read_keys, revoke_key
from service.settings import Settings

if TYPE_CHECKING:
    from service.feedback import FeedbackStore

DONE, FAILED = 0, 1
_PATIENT_SECONDS = 600


def add_commands(commands: Any) -> None:
    """Adds the commands to those of ``python -m service``."""
    _add_keys(commands.add_parser("keys", help="make, list and revoke API keys"))
    _add_feedback(commands.add_parser("feedback", help="look at feedback, export or delete it"))
    database = commands.add_parser("database", help="bring the tables of feedback up to date")
    _add_database_option(database)
    actions = database.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("upgrade", help="to the tables of this release").set_defaults(run=_upgrade)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, metavar="FILE", help="default: VIGIE_KEYS_FILE")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key; it is shown once")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--scope", action="append", required=True, choices=SCOPES)
    create.set_defaults(run=_create_key)
    actions.add_parser("list", help="names, scopes, dates").set_defaults(run=_list_keys)
    revoke = actions.add_parser("revoke", help="make a key worthless at once")
    revoke.add_argument("name", metavar="NAME")
    revoke.set_defaults(run=_revoke_key)


def _add_feedback(parser: argparse.ArgumentParser) -> None:
    _add_database_option(parser)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="feedback as JSONL, in the order it came")
    listing.add_argument("--unreviewed", action="store_true", help="only what nobody has reviewed")
    listing.set_defaults(run=_list_feedback)
    export = actions.add_parser("export", help="reviewed feedback as passages, JSONL")
    export.add_argument("--all", action="store_true", help="what nobody has reviewed, too")
    export.set_defaults(run=_export)
    review = actions.add_parser("review", help="mark feedback as reviewed")
    review.add_argument("id", type=int, nargs="+", metavar="ID")
    review.add_argument("--undo", action="store_true", help="take the mark away")
    review.set_defaults(run=_review)
    waiting = actions.add_parser("waiting", help="passages of the review queue as JSONL")
    waiting.add_argument("--limit", type=int, default=20, metavar="N")
    waiting.set_defaults(run=_waiting)
    delete = actions.add_parser("delete", help="delete feedback for good")
    which = delete.add_mutually_exclusive_group(required=True)
    which.add_argument("id", type=int, nargs="?", metavar="ID")
    which.add_argument("--older-than", metavar="AGE", help="90d, 12h, 2w; waiting passages too")
    delete.set_defaults(run=_delete)


def _add_database_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", metavar="URL", help="default: VIGIE_DATABASE_URL")


def _keys_file(options: argparse.Namespace) -> Path:
    path: Path | None = options.file or Settings.from_environment().keys_file
    if path is None:
        raise SettingsError("no file of keys: give --file FILE, or set VIGIE_KEYS_FILE")
    return path


def _create_key(options: argparse.Namespace) -> int:
    path = _keys_file(options)
    key = create_key(path, options.name, options.scope)
    print(f"{options.name} is in {path}; this is the only time its key is shown:", file=sys.stderr)
    print(key)
    return DONE


def _list_keys(options: argparse.Namespace) -> int:
    for key in read_keys(_keys_file(options)):
        state = f"revoked {key.revoked}" if key.revoked else f"created {key.created}"
        print(f"{key.name}  {','.join(key.scopes)}  {state}")
    return DONE


def _revoke_key(options: argparse.Namespace) -> int:
    revoke_key(_keys_file(options), options.name)
    print(f"{options.name} is revoked", file=sys.stderr)
    return DONE


def _store(options: argparse.Namespace) -> FeedbackStore:
    from service.database import Database
    from service.feedback import FeedbackStore

    url = options.database or Settings.from_environment().database_url
    if url is None:
        raise SettingsError("no database: give --database URL, or set VIGIE_DATABASE_URL")
    return FeedbackStore(Database(url, _PATIENT_SECONDS))


def _upgrade(options: argparse.Namespace) -> int:
    _store(options).database.upgrade()
    print("the tables are up to date", file=sys.stderr)
    return DONE


def _list_feedback(options: argparse.Namespace) -> int:
    from service.feedback import Wanted

    store, after = _store(options), 0
    wanted = Wanted(reviewed=False if options.unreviewed else None)
    while page := store.listed(wanted, after, 500):
        for kept in page:
            _print(kept)
        after = page[-1]["id"]
    return DONE


def _export(options: argparse.Namespace) -> int:
    for passage in _store(options).export(None if options.all else True):
        _print(passage)
    return DONE


def _review(options: argparse.Namespace) -> int:
    store = _store(options)
    missing = [i for i in options.id if store.mark(i, not options.undo, "command line") is None]
    for identifier in missing:
        print(f"error: no feedback {identifier}", file=sys.stderr)
    return FAILED if missing else DONE


def _waiting(options: argparse.Namespace) -> int:
    for passage in _store(options).waiting(options.limit):
        _print(passage)
    return DONE


def _delete(options: argparse.Namespace) -> int:
    from service.ages import parse_age

    store = _store(options)
    if options.older_than is not None:
        print(f"{store.delete_older(parse_age(options.older_than))} deleted", file=sys.stderr)
        return DONE
    if store.delete(options.id):
        return DONE
    print(f"error: no feedback {options.id}", file=sys.stderr)
    return FAILED


def _print(record: dict[str, Any]) -> None:
    print(json.dumps(record, ensure_ascii=False))
