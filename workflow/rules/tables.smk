# Scores to tables. Nothing here imports torch: a table is drawn anew in a second.


rule table:
    input:
        scores=lambda w: [f"{RESULTS}/eval/{cell}/score.json" for cell in experiment.cells(w.table)],
        code=code(*(f"tables/{name}.py" for name in ["collect", "layout", "provenance", "render"])),
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
        experiment=EXPERIMENT,
        layout=lambda w: experiment.tables[w.table].model_dump(mode="json"),
        labels=experiment.labels(),
        out=subpath(output.markdown, parent=True),
    message:
        "drawing {wildcards.table}"
    shell:
        "python -m otr.tables --experiment {params.experiment} --table {wildcards.table} --results results"
        " --out {params.out} 2> {log}"


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
