"""The inference API: `uvicorn serve:app --host 0.0.0.0 --port 8000`.

It serves what the registry has in production where the home (WINDLASS_HOME, or .windlass in the current folder) knows
the project, and else the bundle in artifacts/.
"""

from pathlib import Path

import windlass

app = windlass.application(Path(__file__).parent, logs=True)
