# From checkpoints to completions, verdicts and scores.
SAMPLED = list(experiment.benchmarks)
PROBLEMS = expand(f"{RESULTS}/problems/{{benchmark}}/problems.jsonl", benchmark=SAMPLED)
EVALUATION = f"{RESULTS}/eval/{{{{model}}}}/{{{{run}}}}/{{benchmark}}"


rule sample:
    input:
        checkpoint=f"{RESULTS}/train/{{model}}/{{run}}/checkpoint",
        problems=PROBLEMS,
        demonstrations=expand(f"{RESULTS}/problems/{{benchmark}}/demonstrations.jsonl", benchmark=SAMPLED),
    output:
        samples=expand(f"{EVALUATION}/samples.jsonl.gz", benchmark=SAMPLED),
        sampling=expand(f"{EVALUATION}/sampling.json", benchmark=SAMPLED),
    log:
        f"{RESULTS}/logs/sample-{{model}}-{{run}}.log",
    conda:
        ENVIRONMENT
    threads: experiment.threads
    resources:
        gpu=min(1, GPUS),
        mem_mb=2500,
    params:
        experiment=EXPERIMENT,
        benchmarks=SAMPLED,
        settings=lambda w: experiment.sampling_settings(w.run),
        engine=machine.engine,
        problems=lambda w, input: Path(input.problems[0]).parents[1],
        out=lambda w, output: Path(output.samples[0]).parents[1],
    message:
        "sampling completions of {wildcards.model} {wildcards.run}"
    shell:
        "python -m otr.evaluation.sample --experiment {params.experiment} --model {wildcards.model}"
        " --run {wildcards.run} --benchmarks {params.benchmarks} --checkpoint {input.checkpoint}"
        " --problems {params.problems} --engine {params.engine} --out {params.out} --log {log}"


rule grade:
    input:
        problems=PROBLEMS,
        samples=rules.sample.output.samples,
        sampling=rules.sample.output.sampling,
        code=code(*(f"evaluation/{name}.py" for name in ["answers", "notation", "grade", "judge", "score", "math"])),
    output:
        verdicts=expand(f"{EVALUATION}/verdicts.jsonl.gz", benchmark=SAMPLED),
        scores=expand(f"{EVALUATION}/score.json", benchmark=SAMPLED),
    log:
        f"{RESULTS}/logs/grade-{{model}}-{{run}}.log",
    conda:
        ENVIRONMENT
    params:
        experiment=EXPERIMENT,
        benchmarks=SAMPLED,
        problems=lambda w, input: Path(input.problems[0]).parents[1],
        evaluation=lambda w, output: Path(output.scores[0]).parents[1],
    message:
        "grading {wildcards.model} {wildcards.run}"
    shell:
        "python -m otr.evaluation.math --experiment {params.experiment} --model {wildcards.model} --run {wildcards.run}"
        " --benchmarks {params.benchmarks} --problems {params.problems} --evaluation {params.evaluation}"
        " --workers {threads} --log {log}"
