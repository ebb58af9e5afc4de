"""Why a task or a run failed: from states, pods, events and logs to one cause. Pure functions.

A new cause goes into the module of what tells it: the pod, the exception, the event log, the run's end.
"""
