"""Train a loan model as an experiment: `python train.py --model baseline --C 0.1`. See `--help`.

A version for production comes from `windlass train`, which registers what it trained.
"""

from project import project

import windlass

windlass.train_command(project)
