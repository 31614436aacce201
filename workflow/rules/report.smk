# Everything of an experiment on one HTML page. It reads the whole tree and is redone with any of its tables.


rule report:
    input:
        tables=expand(f"{RESULTS}/tables/{{table}}.csv", table=experiment.tables),
        figures=rules.figure2.output.svg if FIGURES else [],
        comparison=rules.comparison.output.markdown,
        overlaps=OVERLAPS,
        code=code("otr.report"),
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/report.log",
    localrule: True
    conda:
        ENVIRONMENT
    message:
        "writing the report"
    shell:
        "python -m otr.report --experiment {EXPERIMENT:q} --results results --out {output} --log {log}"


rule selected_report:
    input:
        rules.report.output,
    output:
        "results/report.html",
    log:
        f"{RESULTS}/logs/selected-report.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        experiment=experiment.name,
    message:
        "{output} is the report of the experiment {params.experiment}"
    shell:
        # Completions that are too many for the page lie in <experiment>/report/, beside the original.
        '(sed \'s|data-evidence="report/"|data-evidence="{params.experiment}/report/"|\' {input} > {output}.partial'
        " && mv {output}.partial {output}) 2> {log}"
