# The whole experiment, from raw rows to the paper's tables. This file is its table of contents.
#
#   snakemake --cores all results/table1.md                 the default experiment's Table 1
#   snakemake --cores all results/table1.md --config experiment=qwen data=/folder/with/rows
#   snakemake -n ...                                        shows the jobs and runs none
import os


# That of the working folder; called from elsewhere (-s /checkout/Snakefile), the checkout's own.
configfile: next(file for file in ["config.yaml", f"{workflow.basedir}/config.yaml"] if os.path.exists(file))


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        expand("results/{table}.md", table=experiment.tables),
        "results/comparison.md",
        "results/paper_audit.md",
        FIGURES,
        OVERLAPS,
        "results/report.html",
