"""How the default model was chosen: `python choose.py` prints the README's table, within some minutes.

Stratified five-fold cross-validation, twice, on 4,000 newly generated applications: the rows that versions hold out
are not used for the choice. `--data FILE` uses all rows of a file instead.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from project import ROWS, Baseline, Boosting, applications, generate_applications, project
from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate

SCORES = {"ROC AUC": "roc_auc", "log loss": "neg_log_loss", "Brier": "neg_brier_score"}
CANDIDATES = [
    *(Baseline(C=c) for c in (0.01, 0.1, 1.0, 10.0)),
    *(Boosting(max_leaf_nodes=leaves) for leaves in (2, 3, 4, 8, 31)),
    *(Boosting(max_iter=trees) for trees in (75, 300, 600)),
]


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns mean and standard deviation of each score over ten folds, one row for each candidate."""
    names, target = list(project.schema.names), project.target.name
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)
    results = {}
    for candidate in CANDIDATES:
        model = candidate.build(seed=0)
        scores = cross_validate(model, rows[names], rows[target], cv=folds, scoring=SCORES)
        changed = [
            f"{name} = {value}"
            for name, value in candidate.model_dump(exclude_defaults=True).items()
        ]
        label = f"`{candidate.name}`, {', '.join(changed) or 'as declared'}"
        results[label] = {
            name: f"{np.mean(np.abs(values)):.4f} ± {np.std(values):.4f}"
            for name in SCORES
            for values in (scores[f"test_{name}"],)
        }
    return pd.DataFrame.from_dict(results, orient="index")


def markdown(scores: pd.DataFrame) -> list[str]:
    """Returns the lines of the table in Markdown, as the README has them."""
    lines = [["candidate", *scores.columns], ["---"] * (1 + len(scores.columns))]
    lines += [
        [str(label), *row] for label, row in zip(scores.index, scores.to_numpy(), strict=True)
    ]
    return [f"| {' | '.join(line)} |" for line in lines]


def main() -> None:
    """Prints the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="FILE", help="use the rows of this file")
    file = parser.parse_args().data
    rows = generate_applications(ROWS, seed=1) if file is None else applications(file)
    for line in markdown(table(rows)):
        print(line, flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
