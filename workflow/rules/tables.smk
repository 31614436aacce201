# Scores to tables. Nothing here imports torch: a table is drawn anew in a second.


def scores_of(wildcards):
    layout = experiment.tables[wildcards.table]
    return [
        f"{RESULTS}/eval/{model}/{run}/{benchmark}/score.json"
        for model in layout.models
        for run in layout.rows
        for group in layout.columns
        for benchmark in group.benchmarks
    ]


rule table:
    localrule: True
    input:
        scores=scores_of,
        code=code("tables/collect.py", "tables/layout.py", "tables/provenance.py", "tables/render.py"),
    output:
        multiext(f"{RESULTS}/tables/{{table}}", ".md", ".csv", ".tex"),
    log:
        f"{RESULTS}/logs/{{table}}.log",
    params:
        layout=lambda w: experiment.tables[w.table].model_dump(mode="json"),
        labels=experiment.labels(),
    message:
        "drawing {wildcards.table}"
    shell:
        "python -m otr.tables --experiment {EXPERIMENT} --table {wildcards.table} --results results"
        " --out {RESULTS}/tables 2> {log}"


rule selected_table:
    localrule: True
    input:
        f"{RESULTS}/tables/{{table}}.md",
    output:
        "results/{table}.md",
    log:
        "results/{table}.log",
    params:
        experiment=experiment.name,
    message:
        "{output} is the table of the experiment {params.experiment}"
    shell:
        "cp {input} {output}.partial && mv {output}.partial {output} 2> {log}"
