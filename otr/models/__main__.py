"""Make the base checkpoint of a model: pre-train it, convert it, or point to where it lies.

    otr base --experiment workflow/experiments/micro.yaml --model small \\
        --generated results/micro/generated --out results/micro/train/small/base/checkpoint

--out becomes a checkpoint folder, or a symbolic link to one (a local folder, the hub's cache). Beside it run.json says
where it came from. A checkpoint that was made before from the same settings and documents is taken over.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from otr.command.finished import Finished
from otr.command.stage import Stage
from otr.config import BASE_RUN, Experiment, Model
from otr.data.hub import explained
from otr.errors import UserError
from otr.files import Row, replacing, sha256
from otr.machine.provenance import provenance
from otr.models.origin import check_folder, check_gguf, is_gguf, local_weights
from otr.results import RunFile

DOCUMENTS = "documents.jsonl.gz"
"""What a model is pre-trained on, in the generator's folder."""


def link(folder: Path, out: Path) -> None:
    with replacing(out) as temporary:
        temporary.symlink_to(folder.resolve(), target_is_directory=True)


def fetch(model: Model) -> Path:
    """The hub's snapshot of a model at its pinned revision: safetensors and text files only. UserError names the
    repository and the revision when it cannot be had, or is not whole."""
    from huggingface_hub import snapshot_download

    repository = str(model.hub)
    patterns = ["*.safetensors", "*.json", "*.txt", "*.jinja"]
    with explained("model", repository, model.revision):
        folder = Path(snapshot_download(repository, revision=model.revision, allow_patterns=patterns))
        try:
            check_folder(folder)
        except UserError as error:
            raise UserError(
                f"hub model '{repository}' at revision {model.revision or 'main'}: what the cache holds of it is not "
                f"whole ({str(error).removeprefix('path: ')}); delete this folder and run again with a network"
            ) from None
        return folder


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr base", __doc__)
    stage.add("--model", required=True, help="a model of the experiment")
    stage.add("--models", type=Path, default=Path("models"), help="folder of relative model paths")
    stage.add("--weights", nargs="?", help="a local copy of the hub model: a checkpoint folder or a GGUF file")
    stage.add("--generated", type=Path, nargs="?", help="folder of the generator's files, for a pre-trained model")
    stage.add("--out", required=True, type=Path, help="the checkpoint folder to make")
    with stage.run(arguments) as (experiment, options):
        model = experiment.models[options.model]
        local = local_weights(model, options.models, {str(model.hub): options.weights} if options.weights else {})
        if model.pretrain is None and (local is None or not is_gguf(local)):
            folder = local if local is not None else fetch(model)
            if local is not None:
                check_folder(folder)
            link(folder, options.out)
            _record(experiment, options.model, options.out)
        elif not (kept := _finished(experiment, model, local, options)).adopt():
            _record(experiment, options.model, options.out, _make(experiment, model, local, options))
            kept.keep()
        stage.done(f"base {options.model}: checkpoint in {options.out}")


def _finished(experiment: Experiment, model: Model, gguf: Path | None, options: Any) -> Finished:
    """The checkpoint made before from this very content, if there is one."""
    identity: Row = {"origin": model.model_dump(mode="json", include={"pretrain"})}
    if model.pretrain is not None:
        identity |= {"seed": experiment.seed, "documents_sha256": sha256(options.generated / DOCUMENTS)}
    elif gguf is not None:
        check_gguf(gguf)
        identity |= {"gguf_sha256": sha256(gguf)}
    return Finished(options.out.parent, [options.out.name, "run.json"], identity, rule="base")


def _make(experiment: Experiment, model: Model, gguf: Path | None, options: Any) -> Row:
    """Pre-train or convert it; returns what run.json says of that."""
    if model.pretrain is not None:
        from otr.models.pretrain import pretrain

        title = f"pre-train {options.model}"
        documents = options.generated / DOCUMENTS
        pretrain(model.pretrain, documents, options.out, experiment.seed, title)
        return {}
    assert gguf is not None
    from otr.models.gguf import convert

    return {"gguf": {"file": gguf.name, "sha256": sha256(gguf)} | convert(gguf, options.out)}


def _record(experiment: Experiment, name: str, out: Path, details: Mapping[str, Any] = MappingProxyType({})) -> None:
    run = RunFile(
        experiment=experiment.name,
        model=name,
        run=BASE_RUN,
        origin=experiment.models[name].model_dump(mode="json", exclude={"label", "gpus"}, exclude_none=True),
        **details,
        seed=experiment.seed,
        provenance=provenance(),
    )
    run.write(out.parent / "run.json", out)


if __name__ == "__main__":
    main()
