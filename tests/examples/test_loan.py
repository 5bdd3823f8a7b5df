import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.support.child_process import WINDLASS, run
from tests.support.paths import ROOT

from windlass.core.bundle import Bundle
from windlass.core.project import Project
from windlass.core.project_loader import load_project
from windlass.core.row_validator import RowValidator
from windlass.engines.loader import load_engine
from windlass.registry.comparison import Comparison, compare
from windlass.registry.gate_evaluation import evaluate_gates

LOAN = ROOT / "examples" / "loan"
README = (LOAN / "README.md").read_text(encoding="utf-8")
HANDED_OVER = ROOT.parent / "shared" / "data" / "loan" / "dataset.csv"
needs_file = pytest.mark.skipif(
    not HANDED_OVER.is_file(), reason="the file handed over is not part of the repository"
)
MODELS = ("boosting", "baseline")

Trained = Callable[..., Bundle]


def _python(*arguments: object, folder: Path = LOAN) -> str:
    # passive: trees of many small steps take minutes where their threads spin on a busy machine
    variables = {} if os.environ.get("OMP_NUM_THREADS") == "1" else {"OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, *arguments]
    return run(command, cwd=folder, env=os.environ | variables, warm=True, timeout=250).check()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The bundle that `python train.py` writes, trained once."""
    folder = tmp_path_factory.mktemp("loan")

    def bundle(model: str, *options: str) -> Bundle:
        target = folder / "-".join([model, *options]).replace("/", "_")
        if not target.exists():
            _python(
                "train.py", "--no-track", "--model", model, "--artifacts", str(target), *options
            )
        return Bundle.open(target)

    return bundle


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(LOAN)[0]


@pytest.fixture(scope="module")
def comparison(trained: Trained) -> Comparison:
    return compare(trained("boosting"), trained("baseline"))


@pytest.mark.parametrize("model", MODELS)
def test_both_candidates_learn_and_compile(trained: Trained, model: str) -> None:
    bundle = trained(model)
    metrics = bundle.json("metrics.json")
    assert metrics["roc_auc"] > 0.78
    assert metrics["brier"] < 0.19
    assert all(gate.passed for gate in bundle.manifest.gates)
    assert bundle.manifest.engine.name == "onnx", bundle.manifest.engine.reason
    assert bundle.manifest.engine.equality is not None
    assert bundle.manifest.engine.equality.max_difference < 1e-15


@needs_file
@pytest.mark.parametrize("model", MODELS)
def test_both_candidates_train_on_the_file_handed_over(trained: Trained, model: str) -> None:
    bundle = trained(model, "--data", str(HANDED_OVER))
    metrics = bundle.json("metrics.json")
    assert metrics["test_rows"] + metrics["train_rows"] == 1000
    assert bundle.json("params.json")["data"] == str(HANDED_OVER)
    assert bundle.manifest.engine.name == "onnx", bundle.manifest.engine.reason
    assert not all(gate.passed for gate in bundle.manifest.gates)  # its labels are noise


@needs_file
def test_generated_applications_look_like_the_real_file(project: Project) -> None:
    generated, real = project.data(), pd.read_csv(HANDED_OVER, index_col=0)
    assert list(generated.columns) == list(real.columns)
    assert generated.isna().mean().to_dict() == pytest.approx(
        real.isna().mean().to_dict(), abs=0.012
    )
    for name in real:
        spread = real[name].max() - real[name].min()
        assert generated[name].min() == pytest.approx(real[name].min(), abs=0.01 * spread)
        assert generated[name].max() == pytest.approx(real[name].max(), abs=0.01 * spread)
        assert generated[name].mean() == pytest.approx(real[name].mean(), abs=0.05 * spread)


def test_generated_applications_are_always_the_same(project: Project) -> None:
    pd.testing.assert_frame_equal(project.data(), project.data())


@pytest.mark.parametrize("model", MODELS)
def test_missing_facts_are_predicted_and_change_the_answer(trained: Trained, model: str) -> None:
    bundle = trained(model)
    validator = RowValidator(bundle.schema.row)
    whole = {
        "Age": 41, "Annual_Income": 72000.0, "Credit_Score": 640, "Loan_Amount": 18000,
        "Loan_Duration_Years": 10, "Number_of_Open_Accounts": 5, "Had_Past_Default": 0,
    }  # fmt: skip
    missing: list[dict[str, Any]] = [{**whole, "Credit_Score": None}, dict(whole)]
    del missing[1]["Annual_Income"]
    bare = {"Loan_Duration_Years": 10, "Had_Past_Default": 0}
    rows = validator.to_batch(validator.parse_rows(json.dumps([whole, *missing, bare]).encode()))
    shares = load_engine(bundle).predict(rows).probabilities
    assert shares is not None
    assert shares.sum(axis=1) == pytest.approx(np.ones(4))
    assert len({round(share, 6) for share in shares[:, 1]}) == 4


def test_versions_of_other_seeds_are_compared_on_the_same_rows(trained: Trained) -> None:
    production = trained("boosting")
    results = evaluate_gates(trained("boosting", "--seed", "7"), production)
    assert len(results) == 4
    assert all(result.passed for result in results)
    assert all("on 808 rows that both held out" in result.note for result in results[2:])
    failed = [
        result
        for result in evaluate_gates(trained("baseline"), production)
        if result.blocks_approval
    ]
    assert {result.rule.split()[0] for result in failed} == {"roc_auc", "log_loss"}


def test_the_readmes_figures_are_those_of_the_bundles(comparison: Comparison) -> None:
    names = {"ROC AUC": "roc_auc", "log loss": "log_loss", "Brier": "brier", "accuracy": "accuracy"}
    section = README[README.index("### Version against version") :]
    for title, metric in names.items():
        line = re.search(rf"^\| {title} \| (.*) \|$", section, re.MULTILINE)
        compared = comparison.metric(metric)
        assert line is not None
        assert compared is not None
        figures = [
            float(text)
            for text in re.findall(r"[+-]?\d\.\d+", line[1].replace("\N{MINUS SIGN}", "-"))
        ]
        expected = [compared.a, compared.b, compared.difference, compared.low, compared.high]
        assert figures == pytest.approx(expected, abs=2e-3), title
    assert f"On the {comparison.rows} rows" in section


def test_the_default_is_better_than_the_baseline(comparison: Comparison) -> None:
    for metric in ("roc_auc", "log_loss"):
        compared = comparison.metric(metric)
        assert compared is not None
        assert compared.verdict("boosting", "baseline") == "boosting is better"


def test_the_readmes_requests_fit_the_declaration(project: Project) -> None:
    validator = RowValidator(project.schema)
    bodies = re.findall(r"(/\w+) -H [^\n]*\n\s+-d '([^']+)'", README)
    assert [route for route, _ in bodies] == ["/predict", "/predict_batch", "/train"]
    for route, body in bodies:
        if route == "/train":
            request = json.loads(body)
            kind = project.candidate(request.pop("model"))
            request.pop("seed")
            kind.model_validate(request)
        else:
            rows = body if route == "/predict_batch" else f"[{body}]"
            assert len(validator.parse_rows(rows.encode()))


def test_the_choice_can_be_made_again() -> None:
    script = (
        "import choose; choose.CANDIDATES[:] = [choose.Baseline(), choose.Boosting(max_iter=20)];"
        "print(*choose.markdown(choose.table(choose.generate_applications(600, seed=1))), sep='\\n')"
    )
    header, line, baseline, boosting = _python("-c", script).splitlines()
    assert header == "| candidate | ROC AUC | log loss | Brier |"
    assert f"\n{header}\n{line}\n| `baseline`, " in README
    assert re.fullmatch(r"\| `baseline`, as declared( \| 0\.\d{4} ± 0\.\d{4}){3} \|", baseline)
    assert boosting.startswith("| `boosting`, max_iter = 20 | 0.")


def test_a_training_is_verified(trained: Trained) -> None:
    bundle = trained("boosting")
    output = run(
        [WINDLASS, "verify", bundle.path, "--project", LOAN, "--json"], timeout=250
    ).check()
    assert json.loads(output)["equal"] is True
