"""Finding runs on disk."""

import os
from pathlib import Path
from typing import Any

from jaxrl_suite.errors import RunDirectoryError
from jaxrl_suite.results.store import RunStore


def list_runs(root: str | os.PathLike) -> list[dict[str, Any]]:
    """Every run below `root` (or `root` itself), ordered by path; nothing but manifests and file names is read.

    Returns:
        Dicts of `path` (str), `agent`, `env`, `seeds` (their number), `status`, `updates_done`, `total_updates` and
        `error`; unknown entries are None. The status is the manifest's, except "interrupted" for a run that calls
        itself running while its process is gone, and "broken", with the reason as `error`, where opening fails.

    Raises:
        RunDirectoryError: `root` is not a directory.
    """
    if not Path(root).is_dir():
        raise RunDirectoryError(f"{root}: no such directory")
    found = []
    for directory, folders, names in os.walk(root):
        if "manifest.json" in names:
            found.append(_describe(Path(directory)))
            folders.clear()
        folders.sort()
    return found


def _describe(path: Path) -> dict[str, Any]:
    about = dict.fromkeys(("agent", "env", "seeds", "status", "updates_done", "total_updates", "error"))
    try:
        store = RunStore.open(path)
        about["updates_done"] = store.updates_done
    except RunDirectoryError as error:
        return {"path": str(path), **about, "status": "broken", "error": str(error)}
    about |= {name: store.manifest.get(name) for name in ("agent", "env", "seeds", "total_updates")}
    about["status"] = store.status
    if isinstance(about["seeds"], list):
        about["seeds"] = len(about["seeds"])
    return {"path": str(path), **about}
