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
