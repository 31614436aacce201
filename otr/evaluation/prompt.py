"""Print what a checkpoint is sent, in both protocols, and what a training sees.

    otr prompt --experiment workflow/experiments/micro.yaml --checkpoint results/micro/train/small/base/checkpoint \\
        --benchmark stories --problem "What is 2 + 3?"

Special tokens of the template are shown as they are; `|` ends the prompt. UserError when the chat template cannot be
trained on (otr/data/chat.py).
"""

from pathlib import Path

from otr.command.stage import Stage
from otr.data.chat import Chat, load_tokenizer
from otr.errors import UserError
from otr.evaluation.protocols import Asker

RESPONSE = "RESPONSE"


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr prompt", __doc__)
    stage.add("--checkpoint", required=True, type=Path, help="checkpoint folder whose tokenizer and template are used")
    stage.add("--benchmark", help="a benchmark of the experiment (default: its first)")
    stage.add("--problem", default="What is 2 + 3?", help="text of the problem (default: What is 2 + 3?)")
    with stage.run(arguments) as (experiment, options):
        name = options.benchmark or next(iter(experiment.benchmarks), None)
        if name not in experiment.benchmarks:
            raise UserError(
                f"--benchmark: '{name}' is unknown; allowed: {', '.join(experiment.benchmarks) or '(none)'}"
            )
        tokenizer = load_tokenizer(options.checkpoint)
        for title, protocol in (("base", experiment.protocols.base), ("tuned", experiment.protocols.tuned)):
            prompt = Asker(protocol, tokenizer).prompt(experiment.benchmarks[name], options.problem, [])
            print(f"--- {title} protocol, {name}, {len(prompt.ids)} tokens, without demonstrations\n{prompt.text}|")
        example = Chat(tokenizer).example(options.problem, RESPONSE)
        print(f"--- training, {len(example.ids)} tokens, of which the first {example.prompt} are not trained")
        print(tokenizer.decode(example.ids))
        stage.done(f"prompts of {options.checkpoint}")


if __name__ == "__main__":
    main()
