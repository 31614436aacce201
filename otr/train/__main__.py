"""Fine-tune one checkpoint with one method of an experiment.

    python -m otr.train --experiment workflow/experiments/micro.yaml --model small --run otr \\
        --base results/micro/train/small/base/checkpoint --data results/micro/data/expert/train.parquet \\
        --out results/micro/train/small/otr

Writes checkpoint/ (safetensors, tokenizer, generation_config), metrics.jsonl, curves.png and run.json into --out. Stop it
at any moment: started again, it goes on from its last resumable checkpoint, kept in --out/.resume until the end.
"""

import shutil
import sys
from pathlib import Path

from otr.stage import Stage


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("python -m otr.train", __doc__)
    stage.add("--model", required=True, help="a model of the experiment")
    stage.add("--run", required=True, help="a method of the experiment")
    stage.add("--base", required=True, type=Path, help="checkpoint folder to start from")
    stage.add("--data", required=True, type=Path, help="train.parquet of the method's data set")
    stage.add("--out", required=True, type=Path, help="folder of the run")
    with stage.run(arguments) as (experiment, options):
        import pandas as pd
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from otr.data.chat import Chat
        from otr.figures import training_curves
        from otr.files import sha256, write_json, write_jsonl
        from otr.loss import Objective
        from otr.progress import say
        from otr.provenance import provenance
        from otr.train import checkpoint
        from otr.train.loop import Trainer, examples, train

        torch.set_num_threads(experiment.threads)
        recipe, method = experiment.recipe(options.run), experiment.methods[options.run]
        tokenizer = AutoTokenizer.from_pretrained(options.base)
        rows = pd.read_parquet(options.data).to_dict("records")
        data, dropped = examples(rows, Chat(tokenizer), recipe)
        model = AutoModelForCausalLM.from_pretrained(options.base, dtype=torch.float32, attn_implementation="sdpa")
        objective = Objective(method.objective, method.kappa, method.samples, method.beta)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        title = f"train {options.model} {options.run}"
        say(f"{title}: {len(data)} examples, {dropped} over max_length dropped, on {device.type}")
        trainer = Trainer(model, objective, recipe, experiment.seed, device)
        metrics = train(trainer, data, options.out / ".resume", title)

        checkpoint.export(options.out / "checkpoint", trainer.model, tokenizer, getattr(torch, recipe.precision))
        write_jsonl(options.out / "metrics.jsonl", metrics)
        training_curves(metrics, title, method.samples, options.out / "curves.png")
        write_json(
            options.out / "run.json",
            {
                "experiment": experiment.name,
                "model": options.model,
                "run": options.run,
                "method": method.model_dump(mode="json"),
                "recipe": recipe.model_dump(mode="json"),
                "seed": experiment.seed,
                "examples": len(data),
                "dropped_over_length": dropped,
                "steps": len(metrics),
                "trained_tokens": sum(row["trained_tokens"] for row in metrics),
                "seconds": round(sum(row["seconds"] for row in metrics), 1),
                "device": device.type,
                "data_sha256": sha256(options.data),
                "base_sha256": sha256(options.base / "model.safetensors")
                if (options.base / "model.safetensors").exists()
                else sha256(options.base),
                "provenance": provenance(),
            },
        )
        shutil.rmtree(options.out / ".resume")
        last = metrics[-1]
        stage.done(f"{title}: {len(metrics)} steps, loss {last['loss']:.4f}, nll {last['nll']:.4f}")


if __name__ == "__main__":
    sys.exit(main())
