# Training metrics to the paper's Figure 2. Like a table, it is drawn anew in seconds.
FIGURES = ["results/figure2.png"] if experiment.figure2 else []


rule figure2:
    input:
        metrics=[PATHS.metrics(*run) for run in experiment.figure2_runs()],
        code=code("otr.figures.figure2"),
    output:
        png=f"{RESULTS}/figures/figure2.png",
        svg=f"{RESULTS}/figures/figure2.svg",
    log:
        f"{RESULTS}/logs/figure2.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        layout=experiment.figure2 and experiment.figure2.model_dump(mode="json"),
        labels=experiment.labels(),
        out=subpath(output.png, parent=True),
    message:
        "drawing figure 2"
    shell:
        "python -m otr.tables figure2 --experiment {EXPERIMENT:q} --results results --out {params.out} --log {log}"


rule selected_figure:
    input:
        rules.figure2.output.png,
    output:
        "results/figure2.png",
    log:
        f"{RESULTS}/logs/selected-figure2.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        experiment=experiment.name,
    message:
        "{output} is the figure of the experiment {params.experiment}"
    shell:
        "(cp {input} {output}.partial && mv {output}.partial {output}) 2> {log}"
