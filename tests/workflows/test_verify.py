import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.support.altered_bundles import reseal

from windlass.core.bundle import Bundle
from windlass.core.hashing import pretty_json, sha256_file
from windlass.core.holdout import HOLDOUT_FILE, encode_holdout, read_holdout
from windlass.core.project_loader import load_project
from windlass.errors import DataError, IntegrityError, ProjectError
from windlass.workflows.train import TrainingResult
from windlass.workflows.verify import verify

Copy = Callable[[str], Path]
Train = Callable[..., TrainingResult]


def _reseal(bundle: Path, name: str, **changes: object) -> None:
    """Change one of a bundle's JSON files and its digest in the manifest."""
    file = bundle / name
    file.write_bytes(pretty_json(json.loads(file.read_bytes()) | changes))
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["files"][name] = sha256_file(file)
    (bundle / "manifest.json").write_bytes(pretty_json(manifest))


@pytest.mark.parametrize("name", ["iris", "mixed", "diabetes"])
def test_an_untouched_project_is_equal(copy: Copy, trained: Train, name: str) -> None:
    bundle = trained(copy(name), seed=5, test_size=0.25).bundle
    before = bundle.digest
    result = verify(bundle.path)
    assert result.equal
    assert (result.differences, result.reasons) == ((), ())
    assert Bundle.open(bundle.path).digest == before


def test_changed_data_is_the_reason(copy: Copy, trained: Train) -> None:
    folder = copy("diabetes")
    bundle = trained(folder).bundle
    source = folder / "project.py"
    source.write_text(source.read_text().replace("frame.rename(", "frame.iloc[5:].rename("))
    result = verify(bundle.path)
    assert not result.equal
    assert any(text.startswith("metrics.json: mae is ") for text in result.differences)
    assert any(text.startswith("Predictions: ") for text in result.differences)
    assert [text.split(":")[0] for text in result.reasons] == [
        "The data changed",
        "project.py changed",
    ]


def test_every_test_row_is_compared(copy: Copy, trained: Train) -> None:
    bundle = trained(copy("iris")).bundle.path
    held = read_holdout(Bundle.open(bundle))
    assert held is not None
    assert held.prediction.probabilities is not None
    held.prediction.probabilities[17] += 1e-12
    (bundle / HOLDOUT_FILE).write_bytes(encode_holdout(held))
    reseal(bundle)
    assert verify(bundle).differences == (
        "holdout.npz: some of 30 test rows have another truth or get another prediction.",
    )
    (bundle / HOLDOUT_FILE).write_bytes(encode_holdout(held.take(np.arange(29))))
    reseal(bundle)
    assert "other rows are held out" in verify(bundle).differences[0]
    (bundle / HOLDOUT_FILE).unlink()  # as an earlier Windlass sealed it
    reseal(bundle)
    assert verify(bundle).equal


def test_the_file_that_it_was_trained_on_is_read_again(copy: Copy, trained: Train) -> None:
    folder = copy("iris")
    source = folder / "project.py"
    text = source.read_text().replace("def measurements()", "def measurements(file=None)")
    source.write_text(
        text.replace(
            """    iris = load""",
            """    if file:
        return pd.read_csv(file)
    iris = load""",
        )
    )
    project, _ = load_project(folder)
    project.data().iloc[::2].to_csv(folder / "half.csv", index=False)
    result = trained(folder, data=folder / "half.csv")
    assert result.metrics["test_rows"] + result.metrics["train_rows"] == 75
    assert verify(result.bundle.path).equal
    (folder / "half.csv").unlink()
    with pytest.raises(DataError, match=r"There is no .*half\.csv"):
        verify(result.bundle.path)


def test_changed_packages_and_python_are_reasons(copy: Copy, trained: Train) -> None:
    bundle = trained(copy("iris")).bundle.path
    packages = json.loads((bundle / "environment.json").read_bytes())["packages"]
    packages |= {"scikit-learn": "0.1", "no-such-package": "1.0"}
    _reseal(bundle, "environment.json", packages=packages, python="3.1.0")
    assert verify(bundle).equal  # other versions alone are no difference
    _reseal(bundle, "metrics.json", accuracy=0.5)
    result = verify(bundle)
    assert result.differences[0].startswith("metrics.json: accuracy is ")
    assert result.differences[0].endswith("was 0.5.")
    assert any("python is " in text and "was 3.1.0" in text for text in result.reasons)
    assert "Package no-such-package is not installed, was 1.0." in result.reasons
    assert any(text.startswith("Package scikit-learn is ") for text in result.reasons)


def test_without_any_change_the_training_itself_is_blamed(copy: Copy, trained: Train) -> None:
    folder = copy("iris")
    source = folder / "project.py"
    source.write_text(source.read_text().replace("random_state=seed\n", "\n"))  # the forest's
    request = {"model": "rf", "hyperparameters": {"n_estimators": 3}}
    bundle = trained(folder, **request).bundle.path
    result = next(result for result in (verify(bundle) for _ in range(9)) if not result.equal)
    assert result.reasons[0].startswith("Nothing that the bundle records has changed")


def test_a_changed_row_is_a_difference(copy: Copy, trained: Train) -> None:
    folder = copy("iris")
    bundle = trained(folder).bundle
    source = folder / "project.py"
    source.write_text(
        source.read_text().replace('unit="cm", ge=0.1, le=15, example=5.1', 'unit="mm"')
    )
    result = verify(bundle.path)
    assert result.differences == ("schema.json: the project declares another row or target now.",)
    assert result.reasons[0].startswith("project.py changed")


def test_an_altered_bundle_is_refused(copy: Copy, trained: Train) -> None:
    bundle = trained(copy("iris")).bundle.path
    (bundle / "params.json").write_text("{}")
    with pytest.raises(IntegrityError):
        verify(bundle)


def test_the_project_is_located_or_must_be_named(
    copy: Copy, trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy("iris")
    away = trained(folder, artifacts=tmp_path / "away").bundle.path
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProjectError, match="--project"):
        verify(away)
    assert verify(away, folder).equal
    monkeypatch.chdir(folder)
    assert verify(away).equal
    with pytest.raises(ProjectError, match="is a bundle of project 'iris'"):
        verify(away, copy("diabetes"))


def test_data_that_no_longer_fits_is_refused(copy: Copy, trained: Train) -> None:
    folder = copy("iris")
    bundle = trained(folder).bundle
    source = folder / "project.py"
    source.write_text(source.read_text().replace("le=15, example=5.1", "le=5, example=4.9"))
    with pytest.raises(DataError, match="sepal_length"):
        verify(bundle.path)
