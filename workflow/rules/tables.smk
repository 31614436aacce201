# Scores to tables. Nothing here imports torch: a table is drawn anew in a second.


rule table:
    input:
        scores=lambda w: [PATHS.score(cell) for cell in experiment.cells(w.table)],
        verdicts=lambda w: [PATHS.verdicts(cell) for cell in experiment.cells(w.table)],
        code=code("otr.tables.answer", "otr.tables.render", "otr.tables.table"),
    output:
        markdown=f"{RESULTS}/tables/{{table}}.md",
        csv=f"{RESULTS}/tables/{{table}}.csv",
        tex=f"{RESULTS}/tables/{{table}}.tex",
    log:
        f"{RESULTS}/logs/{{table}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        layout=lambda w: experiment.tables[w.table].model_dump(mode="json"),
        labels=experiment.labels(),
        out=subpath(output.markdown, parent=True),
    message:
        "drawing {wildcards.table}"
    shell:
        "python -m otr.tables --experiment {EXPERIMENT:q} --table {wildcards.table} --results results"
        " --out {params.out} --log {log}"


rule comparison:
    input:
        scores=[PATHS.score(cell) for table in experiment.tables for cell in experiment.cells(table)],
        code=code("otr.tables.comparison", "otr.tables.table"),
    output:
        markdown=f"{RESULTS}/tables/comparison.md",
        csv=f"{RESULTS}/tables/comparison.csv",
    log:
        f"{RESULTS}/logs/comparison.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        tables={name: layout.model_dump(mode="json") for name, layout in experiment.tables.items()},
        labels=experiment.labels(),
        out=subpath(output.markdown, parent=True),
    message:
        "comparing with the published tables"
    shell:
        "python -m otr.tables comparison --experiment {EXPERIMENT:q} --results results --out {params.out} --log {log}"


rule selected_comparison:
    input:
        rules.comparison.output.markdown,
    output:
        "results/comparison.md",
    log:
        f"{RESULTS}/logs/selected-comparison.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        experiment=experiment.name,
    message:
        "{output} is the comparison of the experiment {params.experiment}"
    shell:
        "(cp {input} {output}.partial && mv {output}.partial {output}) 2> {log}"


rule audit:
    input:
        code=code("otr.tables.audit"),
    output:
        "results/paper_audit.md",
    log:
        "results/logs/paper_audit.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        out=subpath(output[0], parent=True),
    message:
        "checking the published tables for consistency"
    shell:
        "python -m otr.tables audit --out {params.out} --log {log}"


rule selected_table:
    input:
        f"{RESULTS}/tables/{{table}}.md",
    output:
        "results/{table}.md",
    log:
        f"{RESULTS}/logs/selected-{{table}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        experiment=experiment.name,
    message:
        "{output} is the table of the experiment {params.experiment}"
    shell:
        "(cp {input} {output}.partial && mv {output}.partial {output}) 2> {log}"


rule unknown_table:
    input:
        refused,
    output:
        "results/{unknown}.md",
    log:
        f"{RESULTS}/logs/unknown-{{unknown}}.log",
    localrule: True
    conda:
        ENVIRONMENT
    message:
        "{output} is no table"
    shell:
        "false 2> {log}"
