"""Moves the inputs and outputs of one attempt, beside its task in a pod.

`__main__` is the command, `supervisor` the container's first process, `worker` the process that it
starts: it reads the `settings`, and its `agent` does what the server orders, by the `moves`.
"""
