"""What an experiment costs, before it is paid for."""
