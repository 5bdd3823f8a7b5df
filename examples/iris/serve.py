"""Serves the bundle that train.py wrote: `uvicorn serve:app --host 0.0.0.0 --port 8000`."""

from pathlib import Path

import windlass

app = windlass.application(Path(__file__).parent, logs=True)
