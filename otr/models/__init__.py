"""Where base checkpoints come from: pre-trained here, converted from GGUF, a local folder, or the hub."""
