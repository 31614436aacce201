"""What the machine offers and tells: devices, memory, versions."""
