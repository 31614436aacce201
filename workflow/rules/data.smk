# Rows in; training subsets and problems out.


rule generate:
    output:
        directory(f"{RESULTS}/generated"),
    log:
        f"{RESULTS}/logs/generate.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        generator=experiment.generator,
        seed=experiment.seed,
    message:
        "generating documents, problems and worked solutions"
    shell:
        "python -m otr.data.{params.generator} --seed {params.seed} --out {output} --log {log}"


rule subset:
    input:
        generated=lambda w: generated(experiment.datasets[w.dataset].source),
        tokenizer=lambda w: PATHS.checkpoint(experiment.datasets[w.dataset].tokenizer, settings.BASE_RUN),
    output:
        train=PATHS.subset("{dataset}"),
        summary=PATHS.summary("{dataset}"),
        figure=f"{RESULTS}/data/{{dataset}}/lengths.png",
    log:
        f"{RESULTS}/logs/subset-{{dataset}}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda w, attempt: REQUESTS.megabytes(MEMORY["subset"], f"subset-{w.dataset}", attempt),
        runtime=lambda w, attempt: REQUESTS.minutes("subset", f"subset-{w.dataset}", attempt),
    params:
        settings=lambda w: experiment.datasets[w.dataset].model_dump(mode="json"),
        seed=experiment.seed,
        rows=lambda w: preflight.content(machine, experiment.datasets[w.dataset].source),
        # `ready` says what the main subset lacks, with all else that would fail; another one's own job does.
        short=lambda w: "--short" if w.dataset == experiment.training.dataset else "",
        out=subpath(output.train, parent=True),
    message:
        "choosing the training subset {wildcards.dataset}"
    shell:
        "python -m otr.data.subsample --experiment {EXPERIMENT:q} --dataset {wildcards.dataset}"
        " --data {machine.data:q} --generated {input.generated} --tokenizer {input.tokenizer} --out {params.out}"
        " {params.short} --log {log}"


rule problems:
    input:
        generated=lambda w: generated(
            experiment.benchmarks[w.benchmark].source,
            experiment.benchmarks[w.benchmark].few_shot and experiment.benchmarks[w.benchmark].few_shot.source,
        ),
    output:
        problems=PATHS.problems("{benchmark}"),
        demonstrations=PATHS.demonstrations("{benchmark}"),
        summary=f"{RESULTS}/problems/{{benchmark}}/summary.json",
    log:
        f"{RESULTS}/logs/problems-{{benchmark}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        settings=lambda w: experiment.benchmarks[w.benchmark].model_dump(
            mode="json", exclude={"label", "instruction", "samples", "max_tokens", "suite"}
        ),
        rows=lambda w: preflight.content(
            machine,
            experiment.benchmarks[w.benchmark].source,
            experiment.benchmarks[w.benchmark].few_shot and experiment.benchmarks[w.benchmark].few_shot.source,
        ),
        out=subpath(output.problems, parent=True),
    message:
        "reading the problems of {wildcards.benchmark}"
    shell:
        "python -m otr.evaluation.problems --experiment {EXPERIMENT:q} --benchmark {wildcards.benchmark}"
        " --data {machine.data:q} --generated {input.generated} --out {params.out} --log {log}"


# Every benchmark of a table, against every data set that a run of a table is trained on.
CELLS = [cell for table in experiment.tables for cell in experiment.cells(table)]
ASKED = sorted({cell.benchmark for cell in CELLS})
TRAINED_ON = sorted({experiment.recipe(cell.run).dataset for cell in CELLS if cell.run in experiment.tuned_runs})
OVERLAPS = expand(f"{RESULTS}/data/{{dataset}}/overlap.json", dataset=TRAINED_ON)


rule overlap:
    input:
        train=rules.subset.output.train,
        problems=expand(PATHS.problems("{benchmark}"), benchmark=ASKED),
        code=code("otr.data.overlap"),
    output:
        report=f"{RESULTS}/data/{{dataset}}/overlap.json",
        table=f"{RESULTS}/data/{{dataset}}/overlap.md",
    log:
        f"{RESULTS}/logs/overlap-{{dataset}}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda w, attempt: REQUESTS.megabytes(MEMORY["overlap"], f"overlap-{w.dataset}", attempt),
        runtime=lambda w, attempt: REQUESTS.minutes("overlap", f"overlap-{w.dataset}", attempt),
    params:
        benchmarks=ASKED,
        labels=[experiment.benchmarks[name].label for name in ASKED],
        problems=lambda w, input: Path(input.problems[0]).parents[1],
    message:
        "searching for test problems in the training subset {wildcards.dataset}"
    shell:
        "python -m otr.data.overlap --experiment {EXPERIMENT:q} --dataset {wildcards.dataset} --train {input.train}"
        " --problems {params.problems} --benchmarks {params.benchmarks} --out {output.report} --log {log}"
