"""Tables: score.json files in, Markdown, CSV and LaTeX tables out. Nothing here imports torch, vllm or transformers."""
