"""The inference API: `uvicorn serve:app --host 0.0.0.0 --port 8000`.

It serves the production version of the registry in WINDLASS_HOME, or in the nearest .windlass from this folder upward.
If that registry does not have the project, it serves the bundle in artifacts/.
"""

from pathlib import Path

import windlass

app = windlass.application(Path(__file__).parent, logs=True)
