"""Files from the Hugging Face hub, at the revision an experiment pins, through the hub's own cache.

    dataset_files(Source(hub="openai/gsm8k", subset="main", split="test", revision="e53f0488..."))
    # [~/.cache/huggingface/hub/datasets--openai--gsm8k/snapshots/e53f0488.../main/test-00000-of-00001.parquet]

Which files a subset and split are is asked once, of the `datasets` library, and noted in the cache's assets folder with
their sizes. From then on nothing is asked for a pinned revision: HF_HUB_OFFLINE=1 serves rows as it serves models, and
a cache that lacks a part says so instead of serving fewer rows.

Whatever goes wrong ends in one line that names the repository, the revision and the remedy.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otr.config import Source
from otr.errors import UserError
from otr.files import Row, read_json, write_json

_COMMIT = re.compile(r"[0-9a-f]{40}")


def dataset_files(source: Source) -> list[Path]:
    """The files of a hub source, in order; those not in the cache yet are fetched."""
    from huggingface_hub import hf_hub_download

    assert source.hub is not None
    with explained("data set", source.hub, source.revision):
        noted = _contents(source)
        found = []
        for name, size in noted["files"].items():
            file = Path(hf_hub_download(source.hub, name, repo_type="dataset", revision=noted["commit"]))
            if file.stat().st_size != size:
                raise UserError(
                    f"{_named('data set', source.hub, source.revision)}: {file} has {file.stat().st_size} of {size} "
                    "bytes; delete this file and run again with a network"
                )
            found.append(file)
        return found


def _contents(source: Source) -> Row:
    """{"commit": "e53f...", "files": {"main/test-00000-of-00001.parquet": 419088}} of a source: as noted before, or as
    the hub says. A branch may have moved since, so only a commit is never asked for again."""
    from huggingface_hub import cached_assets_path
    from huggingface_hub.constants import is_offline_mode

    assert source.hub is not None
    revision = source.revision or "main"
    folder = cached_assets_path("otr", "datasets", source.hub.replace("/", "--"))
    note = folder / f"{'-'.join([revision.replace('/', '-'), source.subset or '', source.split or 'train'])}.json"
    if note.exists() and (_COMMIT.fullmatch(revision) or is_offline_mode()):
        return dict(read_json(note))
    if is_offline_mode():
        raise UserError(
            f"{_named('data set', source.hub, source.revision)}: is not in the cache and HF_HUB_OFFLINE is set; run "
            "once with a network"
        )
    contents = _ask(source)
    write_json(note, contents)
    return contents


def _ask(source: Source) -> Row:
    """Resolved by the library that publishers test their repositories with."""
    from datasets import load_dataset_builder
    from huggingface_hub import HfApi

    assert source.hub is not None
    split = source.split or "train"
    try:
        builder = load_dataset_builder(source.hub, source.subset, revision=source.revision)
    except ValueError as error:  # a subset that is not there, or no data files
        raise UserError(
            f"{_named('data set', source.hub, source.revision)}: {str(error).splitlines()[0]}; check subset"
        ) from None
    files = builder.config.data_files or {}
    if split not in files:
        raise UserError(
            f"{_named('data set', source.hub, source.revision)}: has no split '{split}'; allowed: {', '.join(files)}"
        )
    # hf://datasets/openai/gsm8k@e53f04.../main/test-00000-of-00001.parquet
    commit, names = "", []
    for url in files[split]:
        commit, _, name = url.removeprefix(f"hf://datasets/{source.hub}@").partition("/")
        names.append(name)
    found = HfApi().get_paths_info(source.hub, names, repo_type="dataset", revision=commit)
    sizes = {info.path: info.size for info in found if hasattr(info, "size")}
    return {"commit": commit, "files": {name: sizes[name] for name in names}}


@contextmanager
def explained(kind: str, repository: str, revision: str | None) -> Iterator[None]:
    """Turn the hub client's many errors into one line each. kind: "data set" or "model"."""
    from huggingface_hub import errors

    name = _named(kind, repository, revision)
    local = f"or name a local {'path' if kind == 'model' else 'source: {path: ...}'}"
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the client and its transports raise many kinds
        causes: list[BaseException] = [error]
        while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
            causes.append(cause)

        def among(*kinds: type[BaseException]) -> bool:
            return any(isinstance(found, kinds) for found in causes)

        status = next(
            (found.response.status_code for found in causes if isinstance(found, errors.HfHubHTTPError)), None
        )
        if any(isinstance(found, OSError) and found.errno == errno.ENOSPC for found in causes):
            reason = "no space is left for the hub's cache; make room, or set HF_HOME to a folder on a larger disk"
        elif any(isinstance(found, OSError) and found.errno in (errno.EACCES, errno.EROFS) for found in causes):
            reason = "the hub's cache cannot be written to; set HF_HOME to a folder that can"
        elif among(errors.GatedRepoError):
            reason = f"is gated; accept its terms on its page and log in (hf auth login, or HF_TOKEN), {local}"
        elif among(errors.RevisionNotFoundError):
            reason = f"there is no such revision; correct `revision`, {local}"
        elif among(errors.RepositoryNotFoundError):
            reason = f"there is no such repository, or it is private; check its name or log in (HF_TOKEN), {local}"
        elif among(errors.OfflineModeIsEnabled):
            reason = "a part of it is not in the cache and HF_HUB_OFFLINE is set; run once with a network"
        elif status is not None and status < 500:
            reason = f"the hub refuses it (status {status}); check its name and revision, {local}"
        else:
            first = (str(causes[-1]).splitlines() or [""])[0] or type(causes[-1]).__name__
            reason = f"the hub cannot be reached or broke off ({first}); run again when it can, which goes on, {local}"
        raise UserError(f"{name}: {reason}") from None


def _named(kind: str, repository: str, revision: str | None) -> str:
    return f"hub {kind} '{repository}' at revision {revision or 'main'}"
