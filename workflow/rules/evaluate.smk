# From checkpoints to completions, verdicts and scores.
#
# Benchmarks of one suite are sampled by one job, with one load of the checkpoint; each kind of benchmark has its grader.


def of_run(path, benchmarks):
    """A file for each benchmark of the rule's model and run; path: a method of PATHS."""
    return [path(settings.Cell("{model}", "{run}", name)) for name in benchmarks]


def checkpoint(wildcards):
    """The base model asked in the tuned protocol is the base model."""
    run = settings.BASE_RUN if wildcards.run == settings.BASE_TUNED_RUN else wildcards.run
    return PATHS.checkpoint(wildcards.model, run)


for suite, suite_benchmarks in experiment.suites().items():

    rule:
        name:
            f"sample_{suite}"
        input:
            ready=ancient(rules.ready.output),
            checkpoint=checkpoint,
            problems=list(map(PATHS.problems, suite_benchmarks)),
            demonstrations=list(map(PATHS.demonstrations, suite_benchmarks)),
        output:
            samples=of_run(PATHS.samples, suite_benchmarks),
            sampling=of_run(PATHS.sampling, suite_benchmarks),
        log:
            f"{RESULTS}/logs/sample-{suite}-{{model}}-{{run}}.log",
        conda:
            ENVIRONMENT
        threads: REQUESTS.cores(experiment.engines.get(suite, 1), min(experiment.engines.get(suite, 1), GPUS))
        resources:
            gpu=min(experiment.engines.get(suite, 1), GPUS),
            mem_mb=lambda w, attempt, suite=suite: REQUESTS.sampling(
                w.model, experiment.engines.get(suite, 1), f"sample-{suite}-{w.model}-{w.run}", attempt
            ),
            runtime=lambda w, attempt, suite=suite: REQUESTS.minutes(
                "sample", f"sample-{suite}-{w.model}-{w.run}", attempt, f"{w.model} {w.run} {suite}"
            ),
            # Of no effect on completions; a resource, so that another number redoes nothing.
            engines=experiment.engines.get(suite, 1),
        params:
            benchmarks=suite_benchmarks,
            settings=lambda w, benchmarks=suite_benchmarks: experiment.sampling_settings(w.run, benchmarks),
            problems=lambda w, input: Path(input.problems[0]).parents[1],
            out=lambda w, output: Path(output.samples[0]).parents[1],
        message:
            "sampling completions of {wildcards.model} {wildcards.run}"
        shell:
            "python -m otr.evaluation.sample --experiment {EXPERIMENT:q} --model {wildcards.model}"
            " --run {wildcards.run} --benchmarks {params.benchmarks} --checkpoint {input.checkpoint}"
            " --problems {params.problems} --engine {machine.engine} --engines {resources.engines} --out {params.out} --log {log}"

    for kind in settings.KINDS:
        graded = [name for name in suite_benchmarks if experiment.benchmarks[name].kind == kind]
        if not graded:
            continue

        rule:
            name:
                f"grade_{kind}_{suite}"
            input:
                problems=list(map(PATHS.problems, graded)),
                samples=of_run(PATHS.samples, graded),
                sampling=of_run(PATHS.sampling, graded),
                code=code(f"otr.evaluation.{kind}"),
            output:
                verdicts=of_run(PATHS.verdicts, graded),
                scores=of_run(PATHS.score, graded),
            log:
                f"{RESULTS}/logs/grade-{kind}-{suite}-{{model}}-{{run}}.log",
            conda:
                ENVIRONMENT
            threads: REQUESTS.grading_cores(GPUS)
            resources:
                mem_mb=lambda w, attempt, kind=kind, name=f"grade-{kind}-{suite}": REQUESTS.megabytes(
                    MEMORY[kind], f"{name}-{w.model}-{w.run}", attempt
                ),
                runtime=lambda w, attempt, kind=kind, suite=suite, name=f"grade-{kind}-{suite}": REQUESTS.minutes(
                    f"grade {kind}", f"{name}-{w.model}-{w.run}", attempt, f"{w.model} {w.run} {suite}"
                ),
            params:
                module=f"otr.evaluation.{kind}",
                benchmarks=graded,
                problems=lambda w, input: Path(input.problems[0]).parents[1],
                evaluation=lambda w, output: Path(output.scores[0]).parents[1],
            message:
                "grading the completions of {wildcards.model} {wildcards.run}"
            shell:
                "python -m {params.module} --experiment {EXPERIMENT:q} --model {wildcards.model}"
                " --run {wildcards.run} --benchmarks {params.benchmarks} --problems {params.problems}"
                " --evaluation {params.evaluation} --workers {threads} {UNSANDBOXED} --log {log}"
