"""A body whose object has a member twice is refused: which of both counts differs from reader to reader."""

import json

import pytest
from tests.support.server import FLOWER, Server

NAMES = json.dumps(list(FLOWER))
ROWS = json.dumps([list(FLOWER.values())])
INPUT = f'{{"name":"x","shape":[1,4],"datatype":"FP64","data":{ROWS}}}'
V1, V2 = "/v1/models/iris:predict", "/v2/models/iris/infer"
COLUMNS = ",".join(f'"{name}":[{value}]' for name, value in FLOWER.items())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (V1, f'{{"instances":{ROWS},"instances":{ROWS}}}'),
        (V1, f'{{"parameters":1,"instances":{ROWS},"parameters":2}}'),
        ("/invocations", f'{{"instances":{ROWS},"instances":{ROWS}}}'),
        ("/invocations", f'{{"params":{{}},"instances":{ROWS},"params":{{}}}}'),
        ("/invocations", f'{{"dataframe_split":{{"columns":{NAMES},"data":{ROWS},"data":{ROWS}}}}}'),
        ("/invocations", f'{{"dataframe_split":{{"data":{ROWS},"columns":{NAMES},"data":{ROWS}}}}}'),
        ("/invocations", f'{{"dataframe_split":{{"columns":{NAMES},"columns":{NAMES},"data":{ROWS}}}}}'),
        ("/invocations", f'{{"inputs":{{{COLUMNS},"sepal_length":[9]}}}}'),
        (V2, f'{{"inputs":[{INPUT}],"inputs":[{INPUT}]}}'),
        (V2, f'{{"inputs":[{INPUT[:-1]},"data":{ROWS}}}]}}'),
        (V2, f'{{"id":"a","inputs":[{INPUT}],"\\u0069d":"b"}}'),
    ],
)  # fmt: skip
def test_a_member_that_comes_twice_is_refused(iris_server: Server, path: str, body: str) -> None:
    answer = iris_server.client.post(path, content=body, headers={"content-type": "application/json"})  # fmt: skip
    assert answer.status_code == 400, answer.text
    assert "twice" in answer.text or "exactly one" in answer.text


ROW = json.dumps(FLOWER)
TWICE = f'{ROW[:-1]},"petal_width":2.5}}'
MANY = ",".join([ROW] * 4000)  # more than is read at a time


@pytest.mark.parametrize(
    ("path", "body", "repeated_loc"),
    [
        ("/predict", TWICE, []),
        ("/predict_batch", f"[{ROW},{TWICE}]", [1]),
        ("/predict_batch", f"[{MANY},{TWICE},{ROW}]", [4000]),
        (V1, f'{{"instances":[{ROW},{TWICE}]}}', [1]),
        (V1, f'{{"instances":[{ROWS[1:-1]},{ROW},{TWICE}]}}', [2]),
        ("/invocations", f'{{"dataframe_records":[{MANY},{TWICE}]}}', [4000]),
        ("/invocations", f'{{"inputs":[{TWICE}]}}', [0]),
    ],
    ids=range(7),
)
def test_a_field_that_a_row_has_twice_is_refused(
    iris_server: Server, path: str, body: str, repeated_loc: list[int]
) -> None:
    answer = iris_server.client.post(path, content=body, headers={"content-type": "application/json"})  # fmt: skip
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["loc"][-len(repeated_loc) - 1 :] == [*repeated_loc, "petal_width"]
    assert "twice" in fault["msg"]
