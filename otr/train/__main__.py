"""Fine-tune one checkpoint with one method of an experiment.

    otr train --experiment workflow/experiments/micro.yaml --model small --run otr \\
        --base results/micro/train/small/base/checkpoint --data results/micro/data/slips/train.parquet \\
        --out results/micro/train/small/otr

Writes checkpoint/ (safetensors, tokenizer, generation_config), metrics.jsonl, curves.png and run.json into --out. Stop
it at any moment: started again with the same settings, it goes on from its last resumable checkpoint, kept in
--out/.resume until the end; with other settings it starts afresh and says so. A run that was finished before with the
same rows, weights and settings is taken over from --out/.finished. What only decides memory and speed
(--gpus, tokens_per_microbatch, activation_checkpointing, compile, checkpoint_minutes) may change in between.
"""

import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from otr.command.finished import Finished
from otr.command.progress import say
from otr.command.stage import Stage
from otr.config import MEMORY_AND_SPEED, Experiment, Training
from otr.data.subsample import lacking
from otr.errors import UserError
from otr.files import Row, sha256, write_jsonl
from otr.machine.hardware import Hardware
from otr.machine.memory import uncollected
from otr.machine.precision import computed_in
from otr.results import RunFile
from otr.results.integrity import check


def main(arguments: list[str] | None = None) -> None:
    with uncollected():
        from otr.train import parallel

    arguments = parallel.launch("otr.train", sys.argv[1:] if arguments is None else arguments)
    stage = Stage("otr train", __doc__)
    stage.add("--model", required=True, help="a model of the experiment")
    stage.add("--run", required=True, help="a method of the experiment")
    stage.add("--base", required=True, type=Path, help="checkpoint folder to start from")
    stage.add("--data", required=True, type=Path, help="train.parquet of the method's data set")
    stage.add("--out", required=True, type=Path, help="folder of the run")
    stage.add("--gpus", type=int, default=1, help="ranks to train with on this machine (default: 1)")
    stage.add("--track", default="none", choices=["none", "tensorboard", "wandb"], help="show the curves there as well")
    with stage.run(arguments) as (experiment, options):
        with parallel.started() as ranks:
            end = _run(experiment, options, ranks)
        if not ranks.first:
            sys.exit(0)
        stage.done(end)


def _run(experiment: Experiment, options: Any, ranks: Any) -> str:
    """Train and write the run's files; returns the stage's end line."""
    with uncollected():
        from otr.figures.plots import training_curves
        from otr.machine.provenance import provenance
        from otr.models.export import export
        from otr.train import checkpoint
        from otr.train.footprint import expected_memory, training_flops
        from otr.train.loop import train
        from otr.train.trackers import open_tracker

    recipe, method = _recipe(experiment, options.run, ranks), experiment.method(options.run)
    title = f"train {options.model} {options.run}"
    if short := lacking(options.data):
        raise UserError(short)
    settings: Row = {
        "method": method.settings(),
        "recipe": experiment.recipe(options.run).model_dump(mode="json"),
        "computed_in": recipe.precision,
        "seed": experiment.training_seed(options.run),
        "data_sha256": check(options.data) or sha256(options.data),
        "base_sha256": check(options.base) or sha256(options.base),
    }
    resume = options.out / ".resume"
    outputs = ["checkpoint", "metrics.jsonl", "curves.png", "run.json"]
    # Not what the machine chose to compute in: a finished run is taken over on any machine.
    content = {key: value for key, value in settings.items() if key != "computed_in"}
    content["recipe"] = experiment.recipe(options.run).deciding()
    kept = Finished(options.out, outputs, content, rule="train")
    with checkpoint.claimed(options.out) if ranks.first else nullcontext():
        if any(ranks.any(ranks.first and kept.adopt())):
            return f"{title}: was finished before with the same rows, weights and settings, and is taken over"
        if ranks.first and (changes := checkpoint.changed_settings(resume, settings, set(MEMORY_AND_SPEED))):
            say(f"{title}: starts afresh, as the unfinished run found had other settings ({'; '.join(changes)})")
        ranks.wait()
        trainer, data, dropped, tokenizer = _prepare(experiment, options, recipe, ranks)
        if ranks.first:
            say(
                f"{title}: {len(data)} examples, {dropped} over max_length dropped, {ranks.count} x {ranks.device.type}"
            )
        lengths = [len(example.tokens.ids) for example in data]
        flops = recipe.epochs * training_flops(trainer.model, lengths)
        if ranks.first and ranks.device.type == "cuda":
            expected = expected_memory(trainer.model, recipe, ranks.count, trainer.layout)
            speed = Hardware.named("h100").flops
            layers, recomputed = trainer.model.config.num_hidden_layers, trainer.layout.recomputed
            # A recomputed layer is run forward twice: a third more operations.
            hours = flops * (1 + recomputed / layers / 3) / ranks.count / speed / 3600
            say(
                f"{title}: expects {expected}, {hours:.2g} hours at {speed / 1e12:.0f} TFLOP/s a GPU (an H100), with "
                f"{recomputed} of {layers} layers recomputed"
            )
        with open_tracker(options.track if ranks.first else "none", options.out, title, settings) as log:
            metrics = train(trainer, data, resume, title, log)
        export(options.out / "checkpoint", trainer.model, tokenizer, recipe.precision, ranks.first)
        if not ranks.first:
            return ""
        write_jsonl(options.out / "metrics.jsonl", metrics)
        training_curves(metrics, title, method.samples, options.out / "curves.png")
        seconds = sum(row["seconds"] for row in metrics)
        run = RunFile(
            experiment=experiment.name,
            model=options.model,
            run=options.run,
            **settings,
            examples=len(data),
            dropped_over_length=dropped,
            steps=len(metrics),
            trained_tokens=sum(row["trained_tokens"] for row in metrics),
            seconds=round(seconds, 1),
            tokens_per_second=round(sum(row["tokens"] for row in metrics) / seconds),
            device=ranks.device.type,
            ranks=ranks.count,
            teraflops_a_rank=round(flops / seconds / ranks.count / 1e12, 4),
            peak_memory_gb=round(ranks.peak_memory() / 1e9, 2),
            provenance=provenance(),
        )
        run.write(options.out / "run.json", options.out / "checkpoint", options.out / "metrics.jsonl")
        kept.keep()
        shutil.rmtree(resume)
    last = metrics[-1]
    return (
        f"{title}: {len(metrics)} steps, loss {last['loss']:.4f}, nll {last['nll']:.4f}, "
        f"{run.tokens_per_second} tokens/s, at most {run.peak_memory_gb} GB"
    )


def _recipe(experiment: Experiment, run: str, ranks: Any) -> Training:
    """The run's recipe, with the number type that its device computes in."""
    recipe = experiment.recipe(run)
    return recipe.model_copy(update={"precision": computed_in(recipe.precision, ranks.device.type)})


def _prepare(experiment: Experiment, options: Any, recipe: Training, ranks: Any) -> tuple[Any, list[Any], int, Any]:
    """The trainer, its examples, how many were too long, and the tokenizer."""
    with uncollected():
        import pandas as pd
        import torch
        from transformers import AutoModelForCausalLM

        from otr.data.chat import Chat, load_tokenizer
        from otr.train.loop import Trainer, examples

    torch.set_num_threads(experiment.threads)
    method = experiment.method(options.run)
    tokenizer = load_tokenizer(options.base)
    rows: list[Any] = pd.read_parquet(options.data).to_dict("records")
    data, dropped = examples(rows, Chat(tokenizer), recipe)
    model = AutoModelForCausalLM.from_pretrained(
        options.base, dtype=torch.float32, attn_implementation="sdpa", trust_remote_code=False
    )
    return Trainer(model, method.loss(), recipe, experiment.training_seed(options.run), ranks), data, dropped, tokenizer


if __name__ == "__main__":
    main()
