# Base checkpoints, and the runs that start from them.


def pretraining_threads(model):
    settings = experiment.models[model].pretrain
    return settings.threads if settings else experiment.threads


rule base:
    input:
        # A pre-trained model is made from the generator's documents; every other one comes from elsewhere.
        generated=lambda w: [f"{RESULTS}/generated"] if experiment.models[w.model].pretrain else [],
    output:
        checkpoint=directory(PATHS.checkpoint("{model}", settings.BASE_RUN)),
        run=PATHS.run("{model}", settings.BASE_RUN),
    log:
        f"{RESULTS}/logs/base-{{model}}.log",
    priority: 10
    conda:
        ENVIRONMENT
    threads: lambda w: pretraining_threads(w.model)
    resources:
        mem_mb=lambda w, attempt: REQUESTS.training(w.model, f"base-{w.model}", attempt),
        runtime=lambda w, attempt: REQUESTS.minutes("base", f"base-{w.model}", attempt, w.model),
        # Where a copy lies decides nothing: a resource, so that another place redoes nothing.
        weights=lambda w: machine.weights.get(experiment.models[w.model].hub, ""),
    params:
        settings=lambda w: experiment.models[w.model].model_dump(
            mode="json", exclude={"label", "gpus", "memory_gb", "sampling_memory_gb"}
        ),
        content=lambda w: preflight.weights(machine, experiment.models[w.model]),
        seed=experiment.seed,
    message:
        "making the base checkpoint of {wildcards.model}"
    # Threads that wait for each other spin; where something else wants the cores, ten times as long a step.
    shell:
        "GOMP_SPINCOUNT=10000 python -m otr.models --experiment {EXPERIMENT:q} --model {wildcards.model} --models {machine.models:q}"
        " --weights={resources.weights:q}"
        " --generated {input.generated} --out {output.checkpoint} --log {log}"


# Runs of a model that a table or figure shows and that are trained on the main subset.
def trained_on_main(model):
    shown = [(cell.model, cell.run) for cell in CELLS] + experiment.figure2_runs()
    runs = {run for name, run in shown if name == model and run in experiment.tuned_runs}
    return [run for run in runs if experiment.recipe(run).dataset == experiment.training.dataset]


# Every prompt's length, every interval's count and the room on the disk, before any job of the model takes a GPU.
rule ready:
    input:
        base=PATHS.checkpoint("{model}", settings.BASE_RUN),
        problems=list(map(PATHS.problems, ASKED)),
        demonstrations=list(map(PATHS.demonstrations, ASKED)),
        subset=lambda w: [PATHS.subset(experiment.training.dataset)] if trained_on_main(w.model) else [],
    output:
        f"{RESULTS}/ready/{{model}}.json",
    log:
        f"{RESULTS}/logs/ready-{{model}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        device=machine.gpu_type if GPUS else "cpu",  # a resource: what jobs will run on changes no prompt
    params:
        settings=experiment.prompting_settings(ASKED),
        problems=lambda w, input: Path(input.problems[0]).parents[1],
    message:
        "checking what the jobs of {wildcards.model} need"
    shell:
        "python -m otr.plan.ready --experiment {EXPERIMENT:q} --model {wildcards.model} --base {input.base}"
        " --problems {params.problems} --subset {input.subset} --models {machine.models:q}"
        " --gpu-type {resources.device} --out {output} --log {log}"


rule train:
    input:
        ready=ancient(rules.ready.output),
        base=PATHS.checkpoint("{model}", settings.BASE_RUN),
        data=lambda w: PATHS.subset(experiment.recipe(w.tuned).dataset),
    output:
        checkpoint=directory(PATHS.checkpoint("{model}", "{tuned}")),
        metrics=PATHS.metrics("{model}", "{tuned}"),
        run=PATHS.run("{model}", "{tuned}"),
        curves=f"{RESULTS}/train/{{model}}/{{tuned}}/curves.png",
    log:
        f"{RESULTS}/logs/train-{{model}}-{{tuned}}.log",
    conda:
        ENVIRONMENT
    threads: lambda w: REQUESTS.cores(1, min(experiment.models[w.model].gpus, GPUS))
    resources:
        gpu=lambda w: min(experiment.models[w.model].gpus, GPUS),
        mem_mb=lambda w, attempt: REQUESTS.training(w.model, f"train-{w.model}-{w.tuned}", attempt),
        runtime=lambda w, attempt: REQUESTS.minutes(
            "train", f"train-{w.model}-{w.tuned}", attempt, f"{w.model} {w.tuned}"
        ),
    params:
        method=lambda w: experiment.method(w.tuned).settings(),
        recipe=lambda w: experiment.recipe(w.tuned).deciding(),
        seed=lambda w: experiment.training_seed(w.tuned),
        out=subpath(output.run, parent=True),
    message:
        "training {wildcards.model} with {wildcards.tuned}"
    shell:
        "python -m otr.train --experiment {EXPERIMENT:q} --model {wildcards.model} --run {wildcards.tuned}"
        " --base {input.base} --data {input.data} --out {params.out} --gpus {resources.gpu}"
        " --track {machine.track} --log {log}"
