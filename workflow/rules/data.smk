# Rows in; training subsets and problems out.


def generated_files(*sources):
    """The generator's output, where a source needs it."""
    return [f"{RESULTS}/generated"] if any(source and source.generated for source in sources) else []


rule generate:
    output:
        directory(f"{RESULTS}/generated"),
    log:
        f"{RESULTS}/logs/generate.log",
    params:
        seed=experiment.seed,
    message:
        "generating documents, problems and worked solutions"
    shell:
        "python -m otr.data.{experiment.generator} --seed {params.seed} --out {output} 2> {log}"


rule subset:
    input:
        generated=lambda w: generated_files(experiment.datasets[w.dataset].source),
        tokenizer=lambda w: f"{RESULTS}/train/{experiment.datasets[w.dataset].tokenizer}/base/checkpoint",
    output:
        train=f"{RESULTS}/data/{{dataset}}/train.parquet",
        summary=f"{RESULTS}/data/{{dataset}}/summary.json",
        figure=f"{RESULTS}/data/{{dataset}}/lengths.png",
    log:
        f"{RESULTS}/logs/subset-{{dataset}}.log",
    params:
        settings=lambda w: experiment.datasets[w.dataset].model_dump(mode="json"),
        seed=experiment.seed,
        out=subpath(output.train, parent=True),
    message:
        "choosing the training subset {wildcards.dataset}"
    shell:
        "python -m otr.data.subsample --experiment {EXPERIMENT} --dataset {wildcards.dataset} --data {DATA}"
        " --generated {RESULTS}/generated --tokenizer {input.tokenizer} --out {params.out} --log {log}"


rule problems:
    input:
        generated=lambda w: generated_files(
            experiment.benchmarks[w.benchmark].source,
            experiment.benchmarks[w.benchmark].few_shot and experiment.benchmarks[w.benchmark].few_shot.source,
        ),
    output:
        problems=f"{RESULTS}/problems/{{benchmark}}/problems.jsonl",
        demonstrations=f"{RESULTS}/problems/{{benchmark}}/demonstrations.jsonl",
    log:
        f"{RESULTS}/logs/problems-{{benchmark}}.log",
    params:
        settings=lambda w: experiment.benchmarks[w.benchmark].model_dump(
            mode="json", include={"source", "problem", "gold", "limit", "few_shot"}
        ),
        out=subpath(output.problems, parent=True),
    message:
        "reading the problems of {wildcards.benchmark}"
    shell:
        "python -m otr.evaluation.problems --experiment {EXPERIMENT} --benchmark {wildcards.benchmark} --data {DATA}"
        " --generated {RESULTS}/generated --out {params.out} --log {log}"
