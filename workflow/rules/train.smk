# Base checkpoints, and the runs that start from them.


def base_inputs(wildcards):
    """A pre-trained model is made from the generator's documents; every other one comes from elsewhere."""
    return [f"{RESULTS}/generated"] if experiment.models[wildcards.model].pretrain else []


rule base:
    input:
        base_inputs,
    output:
        checkpoint=directory(f"{RESULTS}/train/{{model}}/base/checkpoint"),
        run=f"{RESULTS}/train/{{model}}/base/run.json",
    log:
        f"{RESULTS}/logs/base-{{model}}.log",
    params:
        settings=lambda w: experiment.models[w.model].model_dump(mode="json", exclude={"label", "gpus"}),
        seed=experiment.seed,
    threads: experiment.threads
    priority: 10
    message:
        "making the base checkpoint of {wildcards.model}"
    shell:
        "python -m otr.models --experiment {EXPERIMENT} --model {wildcards.model} --models {MODELS}"
        " --generated {RESULTS}/generated --out {output.checkpoint} --log {log}"


rule train:
    input:
        base=f"{RESULTS}/train/{{model}}/base/checkpoint",
        data=lambda w: f"{RESULTS}/data/{experiment.recipe(w.tuned).dataset}/train.parquet",
    output:
        checkpoint=directory(f"{RESULTS}/train/{{model}}/{{tuned}}/checkpoint"),
        metrics=f"{RESULTS}/train/{{model}}/{{tuned}}/metrics.jsonl",
        run=f"{RESULTS}/train/{{model}}/{{tuned}}/run.json",
        curves=f"{RESULTS}/train/{{model}}/{{tuned}}/curves.png",
    log:
        f"{RESULTS}/logs/train-{{model}}-{{tuned}}.log",
    params:
        method=lambda w: experiment.methods[w.tuned].model_dump(mode="json", exclude={"label", "training"}),
        recipe=lambda w: experiment.recipe(w.tuned).model_dump(mode="json"),
        seed=experiment.seed,
        out=subpath(output.run, parent=True),
    threads: experiment.threads
    resources:
        gpu=lambda w: min(experiment.models[w.model].gpus, GPUS),
    message:
        "training {wildcards.model} with {wildcards.tuned}"
    shell:
        "python -m otr.train --experiment {EXPERIMENT} --model {wildcards.model} --run {wildcards.tuned}"
        " --base {input.base} --data {input.data} --out {params.out} --log {log}"
