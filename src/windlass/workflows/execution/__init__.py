"""Executes jobs: worker, durable steps, context, child process."""
