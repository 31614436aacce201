"""Make the base checkpoint of a model: pre-train it, convert it, or point to where it lies.

    python -m otr.models --experiment workflow/experiments/micro.yaml --model small \\
        --generated results/micro/generated --out results/micro/train/small/base/checkpoint

--out becomes a checkpoint folder, or a symbolic link to one (a local folder, the hub's cache). Beside it run.json says
where it came from.
"""

from pathlib import Path

from otr.command.stage import Stage
from otr.config import Model
from otr.errors import UserError
from otr.files import replacing, sha256, write_json
from otr.machine.provenance import provenance
from otr.models.origin import check_folder, gguf_file


def link(folder: Path, out: Path) -> None:
    with replacing(out) as temporary:
        temporary.symlink_to(folder.resolve(), target_is_directory=True)


def fetch(model: Model) -> Path:
    """The hub's snapshot of a model at its pinned revision: safetensors and text files only."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                str(model.hub), revision=model.revision, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.jinja"]
            )
        )
    except Exception as error:  # the hub client raises many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"hub model '{model.hub}' cannot be fetched ({reason}); or name a local 'path'") from None


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("python -m otr.models", __doc__)
    stage.add("--model", required=True, help="a model of the experiment")
    stage.add("--models", type=Path, default=Path("models"), help="folder of relative model paths")
    stage.add("--generated", type=Path, nargs="?", help="folder of the generator's files, for a pre-trained model")
    stage.add("--out", required=True, type=Path, help="the checkpoint folder to make")
    with stage.run(arguments) as (experiment, options):
        model = experiment.models[options.model]
        if model.pretrain is not None:
            from otr.models.pretrain import pretrain

            documents = options.generated / "documents.jsonl.gz"
            title = f"pre-train {options.model}"
            pretrain(model.pretrain, documents, options.out, experiment.seed, experiment.threads, title)
        elif model.gguf is not None:
            from otr.models.gguf import convert

            convert(gguf_file(model.gguf, verify=True), options.out)
        elif model.path is not None:
            check_folder(options.models / model.path)
            link(options.models / model.path, options.out)
        else:
            folder = fetch(model)
            check_folder(folder)
            link(folder, options.out)
        write_json(
            options.out.parent / "run.json",
            {
                "experiment": experiment.name,
                "model": options.model,
                "run": "base",
                "origin": model.model_dump(mode="json", exclude={"label", "gpus"}, exclude_none=True),
                "seed": experiment.seed,
                "checkpoint_sha256": sha256(options.out),
                "provenance": provenance(),
            },
        )
        stage.done(f"base {options.model}: checkpoint in {options.out}")


if __name__ == "__main__":
    main()
