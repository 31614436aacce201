"""Files from the Hugging Face hub, at the revision an experiment pins, through the hub's own cache.

    dataset_files(Source(hub="openai/gsm8k", subset="main", split="test", revision="e53f0488..."))
    # [~/.cache/huggingface/hub/datasets--openai--gsm8k/snapshots/e53f0488.../main/test-00000-of-00001.parquet]

Which files a subset and split are is asked once, of the `datasets` library, and noted in the cache's assets folder when
all of them are there. From then on nothing is asked for a pinned revision: HF_HUB_OFFLINE=1 serves rows as it serves
models, and a cache that lacks a part says so instead of serving fewer rows.

Whatever goes wrong ends in one line that names the repository, the revision and the remedy.
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otr.config import Source
from otr.errors import TemporaryError, UserError, first_line
from otr.files import read_json, write_json

_GATED = "is gated; accept its terms on its page and log in (hf auth login, or HF_TOKEN)"
_COMMIT = re.compile(r"[0-9a-f]{40}")


def dataset_files(source: Source) -> list[Path]:
    """The files of a hub source, in order; those not in the cache yet are fetched."""
    from huggingface_hub import hf_hub_download

    assert source.hub is not None
    name = _named("data set", source.hub, source.revision)
    with explained("data set", source.hub, source.revision):
        note = _note(source)
        commit, sizes = note or _ask(source)
        found = {file: Path(hf_hub_download(source.hub, file, repo_type="dataset", revision=commit)) for file in sizes}
        for file, path in found.items():
            if sizes[file] is not None and path.stat().st_size != sizes[file]:
                raise UserError(
                    f"{name}: {path} has {path.stat().st_size} of {sizes[file]} bytes; delete this file and run again "
                    "with a network"
                )
        if note is None:
            files = {file: path.stat().st_size for file, path in found.items()}
            write_json(_note_file(source), {"commit": commit, "files": files})
        return list(found.values())


Contents = tuple[str, dict[str, int | None]]
"""A commit, and a source's files there with their sizes where these are known."""


def _note_file(source: Source) -> Path:
    from huggingface_hub import cached_assets_path

    assert source.hub is not None
    parts = [source.revision or "main", source.subset or "", source.split or "train"]
    folder = Path(cached_assets_path("otr", "datasets", source.hub.replace("/", "--")))
    return folder / f"{'-'.join(parts).replace('/', '-')}.json"


def _note(source: Source) -> Contents | None:
    """What was noted of a source once all its files were there. A branch may have moved since: of that the note serves
    where the hub may not be asked alone. UserError without a note there."""
    from huggingface_hub.constants import is_offline_mode

    file = _note_file(source)
    if not file.exists() and is_offline_mode():
        raise UserError(
            f"{_named('data set', str(source.hub), source.revision)}: is not in the cache as a whole and "
            "HF_HUB_OFFLINE is set; run once with a network"
        )
    if not file.exists() or not (is_offline_mode() or _COMMIT.fullmatch(source.revision or "")):
        return None
    noted = read_json(file)
    return noted["commit"], noted["files"]


def _ask(source: Source) -> Contents:
    """Resolved by the library that publishers test their repositories with."""
    from datasets import load_dataset_builder
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import HfApi

    HfApi().dataset_info(str(source.hub), revision=source.revision)  # whose errors say what is missing
    name, split = _named("data set", str(source.hub), source.revision), source.split or "train"
    try:
        builder = load_dataset_builder(str(source.hub), source.subset, revision=source.revision)
    except DatasetNotFoundError as error:
        if "gated" in str(error):
            raise UserError(f"{name}: {_GATED}, or name a local source: {{path: ...}}") from None
        raise
    except ValueError as error:  # a subset that is not there, or several and none is named
        raise UserError(f"{name}: {' '.join(str(error).split())}; correct `subset`") from None
    files = builder.config.data_files or {}
    if split not in files:
        raise UserError(f"{name}: has no split '{split}'; allowed: {', '.join(map(str, files))}")
    # hf://datasets/openai/gsm8k@e53f04.../main/test-00000-of-00001.parquet
    places = [url.removeprefix(f"hf://datasets/{source.hub}@").partition("/") for url in files[split]]
    return places[0][0], {file: None for _, _, file in places}


@contextmanager
def explained(kind: str, repository: str, revision: str | None) -> Iterator[None]:
    """Turn the hub client's many errors into one line each. kind: "data set" or "model"."""
    from huggingface_hub import errors

    name = _named(kind, repository, revision)
    copy = (
        f"copy: --config 'weights={{{repository}: /folder/or/file.gguf}}'" if kind == "model" else "source: {path: ...}"
    )
    local = f"or name a local {copy}"
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
        kind_of_error = UserError
        if any(isinstance(found, OSError) and found.errno == errno.ENOSPC for found in causes):
            reason = "no space is left for the hub's cache; make room, or set HF_HOME to a folder on a larger disk"
        elif any(isinstance(found, OSError) and found.errno in (errno.EACCES, errno.EROFS) for found in causes):
            reason = "the hub's cache cannot be written to; set HF_HOME to a folder that can"
        elif among(errors.GatedRepoError):
            reason = f"{_GATED}, {local}"
        elif among(errors.RevisionNotFoundError):
            reason = f"there is no such revision; correct `revision`, {local}"
        elif among(errors.RepositoryNotFoundError):
            reason = f"there is no such repository, or it is private; check its name or log in (HF_TOKEN), {local}"
        elif among(errors.OfflineModeIsEnabled):
            reason = "a part of it is not in the cache and HF_HUB_OFFLINE is set; run once with a network"
        elif status is not None and status < 500:
            reason = f"the hub refuses it (status {status}); check its name and revision, {local}"
        else:
            kind_of_error = TemporaryError
            reason = f"the hub cannot be reached or broke off ({first_line(causes[-1])}); run again when it can, "
            reason += f"which goes on, {local}"
        raise kind_of_error(f"{name}: {reason}") from None


def _named(kind: str, repository: str, revision: str | None) -> str:
    return f"hub {kind} '{repository}' at revision {revision or 'main'}"
