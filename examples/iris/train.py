"""Train an iris model: `python train.py --model rf --n-estimators 300`. See `--help`."""

from project import project

import windlass

windlass.train_command(project)
