"""Bulk: archives classified from files to files, on the cores at hand or on a Dask cluster.

    command.py    the command line
    plan.py       what a run does: the files, where reading can start, the columns; a changed input or model shows here
    records.py    rows in: JSONL, CSV or Parquet, read as parts of some thousand rows
    parts.py      one part: rows → passages → scores → bytes of an output file
    output.py     the output folder: receipts, manifest, what is missing
    storage.py    files by address, written whole or not at all
    run.py        a run from beginning to end, with an engine:
    local.py      processes on this machine
    cluster.py    the same on Dask
    progress.py   rate and time left

The output folder, while a run is under way and after it:

    part-FFFFF-SSSSS-PPPPP.parquet   a part: file, stretch of the file, part of the stretch; a final name is a whole file
    _plan.json                       what the run is of; another input, model or option is refused
    _done/part-….json                a receipt for each part that is done, written after the part; gone at the end
    _rejects/part-….jsonl            rows that could not be read, each with its reason
    _manifest.json                   every part with rows and SHA-256; written last
"""
