"""The control plane's routes: training, jobs, versions, decisions."""
