# From checkpoints to completions, verdicts and scores.


rule sample:
    input:
        checkpoint=f"{RESULTS}/train/{{model}}/{{run}}/checkpoint",
        problems=expand(f"{RESULTS}/problems/{{benchmark}}/problems.jsonl", benchmark=SAMPLED),
        demonstrations=expand(f"{RESULTS}/problems/{{benchmark}}/demonstrations.jsonl", benchmark=SAMPLED),
    output:
        samples=expand(f"{RESULTS}/eval/{{{{model}}}}/{{{{run}}}}/{{benchmark}}/samples.jsonl.gz", benchmark=SAMPLED),
        sampling=expand(f"{RESULTS}/eval/{{{{model}}}}/{{{{run}}}}/{{benchmark}}/sampling.json", benchmark=SAMPLED),
    log:
        f"{RESULTS}/logs/sample-{{model}}-{{run}}.log",
    params:
        protocol=lambda w: experiment.protocol(w.run).model_dump(mode="json"),
        benchmarks={
            name: benchmark.model_dump(mode="json", include={"samples", "max_tokens"})
            for name, benchmark in experiment.benchmarks.items()
        },
        engine=machine.engine,
        dtype=experiment.sampling_dtype,
        context=experiment.context,
        seed=experiment.seed,
        out=f"{RESULTS}/eval/{{model}}/{{run}}",
        names=SAMPLED,
    threads: experiment.threads
    resources:
        gpu=min(1, GPUS),
        mem_mb=2500,
    message:
        "sampling completions of {wildcards.model} {wildcards.run}"
    shell:
        "python -m otr.evaluation.sample --experiment {EXPERIMENT} --model {wildcards.model} --run {wildcards.run}"
        " --benchmarks {params.names} --checkpoint {input.checkpoint} --problems {RESULTS}/problems"
        " --engine {params.engine} --out {params.out} --log {log}"


rule grade:
    input:
        problems=rules.sample.input.problems,
        samples=rules.sample.output.samples,
        sampling=rules.sample.output.sampling,
        code=code("evaluation/answers.py", "evaluation/notation.py", "evaluation/grade.py", "evaluation/judge.py",
                  "evaluation/math.py", "evaluation/score.py"),
    output:
        verdicts=expand(f"{RESULTS}/eval/{{{{model}}}}/{{{{run}}}}/{{benchmark}}/verdicts.jsonl.gz", benchmark=SAMPLED),
        scores=expand(f"{RESULTS}/eval/{{{{model}}}}/{{{{run}}}}/{{benchmark}}/score.json", benchmark=SAMPLED),
    log:
        f"{RESULTS}/logs/grade-{{model}}-{{run}}.log",
    params:
        evaluation=f"{RESULTS}/eval/{{model}}/{{run}}",
        names=SAMPLED,
    message:
        "grading {wildcards.model} {wildcards.run}"
    shell:
        "python -m otr.evaluation.math --experiment {EXPERIMENT} --model {wildcards.model} --run {wildcards.run}"
        " --benchmarks {params.names} --problems {RESULTS}/problems --evaluation {params.evaluation}"
        " --workers {threads} --log {log}"
